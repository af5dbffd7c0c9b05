import { createRequire } from 'node:module';
import { expect } from 'chai';
import Dockerode5 from 'dockerode';
import Dockerode3 from 'dockerode-3';
import Dockerode4 from 'dockerode-4';
import { withPullFailover } from '../../lib/drop-in/with-pull-failover.js';
import { dockerEngine, dockerParts } from '../../lib/engine/docker/docker-engine.js';
import type { DockerLike } from '../../lib/engine/docker/docker-like.js';
import { createPuller } from '../../lib/puller/create-puller.js';
import { layers, metadata } from '../../lib/testing/fault-groups.js';
import {
  startRegistryDouble,
  type RegistryDouble,
  type RegistryDoubleOptions,
} from '../../lib/testing/registry-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import { createContainerFrom, engineKinds, namesIn } from '../routes/load/support/load-rig.js';
import { failureOf } from '../support/failure-of.js';
import { type RealEngine, removeImages } from '../support/real-engine.js';
import { until } from '../support/until.js';

interface Line {
  readonly status?: string;
}

/** What hosts call, of every version. */
interface HostDockerode extends DockerLike {
  readonly modem: DockerLike['modem'] & {
    followProgress(stream: NodeJS.ReadableStream, onEnd: (error: Error | null, lines: Line[]) => void): void;
  };
  pull(name: string, options: { readonly abortSignal?: AbortSignal }): Promise<NodeJS.ReadableStream>;
  pull(name: string, options: object, callback: (error: Error | null, stream?: NodeJS.ReadableStream) => void): unknown;
}

const versions: Readonly<Record<string, readonly [packageName: string, open: (path: string) => HostDockerode]>> = {
  '3': ['dockerode-3', (socketPath) => new Dockerode3({ socketPath })],
  '4': ['dockerode-4', (socketPath) => new Dockerode4({ socketPath })],
  '5': ['dockerode', (socketPath) => new Dockerode5({ socketPath })],
};

const timeouts = {
  metadata: { requestMs: 1_000, totalMs: 2_000 },
  layers: { firstByteMs: 1_000, stallMs: 600 },
} as const;

describe("a host's own dockerode", function () {
  this.timeout(60_000);
  engineKinds.installed.require();
  let real: RealEngine;
  const close: (() => Promise<unknown>)[] = [];
  before(async () => {
    real = await engineKinds.installed.start();
  });
  after(() => real?.close());
  afterEach(async () => {
    for (const step of close.splice(0).toReversed()) await step();
    await removeImages(real);
  });

  const image = seededImage({ bytes: [700_000, 300_000], seed: 'dockerode versions' });

  async function start(options: RegistryDoubleOptions = {}): Promise<RegistryDouble> {
    const double = await startRegistryDouble({ images: { 'team/app:1.2': image }, ...options });
    close.push(() => double.close());
    return double;
  }
  const prefixes = (doubles: readonly RegistryDouble[]) =>
    doubles.map(({ host }) => ({ prefix: `${host}/team`, credentials: 'none' as const }));
  const nameAt = ({ host }: RegistryDouble): string => `${host}/team/app:1.2`;

  for (const [version, [packageName, open]] of Object.entries(versions)) {
    describe(`of version ${version}`, () => {
      function wrap(doubles: readonly RegistryDouble[]) {
        const wrapped = withPullFailover(open(real.socketPath), { registries: prefixes(doubles), timeouts });
        close.push(() => wrapped.puller.close());
        return wrapped;
      }
      const follow = (docker: HostDockerode, stream: NodeJS.ReadableStream) =>
        new Promise<readonly Line[]>((resolve, reject) => {
          docker.modem.followProgress(stream, (error, lines) => {
            if (error === null) resolve(lines);
            else reject(error);
          });
        });

      it('is one', () => {
        const manifest = createRequire(import.meta.url)(`${packageName}/package.json`) as { readonly version: string };
        expect(manifest.version).to.match(new RegExp(`^${version}\\.`));
      });

      it('says what its daemon is, and what it has', async () => {
        await using engine = dockerEngine(open(real.socketPath));
        expect(engine.address).to.equal(`unix://${real.socketPath}`);
        const { daemon } = dockerParts(engine);
        expect(await daemon.traits({})).to.include({ product: 'docker', store: 'graph' });
        expect(await daemon.inspect('quay.io/team/nothing:1')).to.equal(null);
      });

      for (const route of ['relay', 'load'] as const) {
        it(`brings an image through an outage by the route ${route}`, async () => {
          const [first, second] = [await start({ faults: [layers.status(503)] }), await start()];
          await using engine = dockerEngine(open(real.socketPath), { route });
          await using puller = createPuller({ engine, registries: prefixes([first, second]), timeouts });
          const report = await puller.pullWithFailover(nameAt(first));
          expect(report.route).to.equal(route);
          expect(report.failovers.map(({ to }) => to)).to.include(`${second.host}/team`);
          expect(await namesIn(real.docker)).to.deep.equal([nameAt(first)]);
          await createContainerFrom(real.docker, report.reference);
        });
      }

      it('lets go of a request that the daemon does not answer, with the reason of its caller', async () => {
        await using engine = dockerEngine(open(real.socketPath));
        const { daemon } = dockerParts(engine);
        await daemon.traits({});
        const caller = new AbortController();
        const reason = new Error('enough');
        await real.suspend();
        try {
          const asked = failureOf(daemon.inspect('quay.io/team/app:1', caller.signal));
          setImmediate(() => caller.abort(reason));
          expect(await asked).to.equal(reason);
        } finally {
          await real.resume();
        }
        expect(await daemon.inspect('quay.io/team/app:1')).to.equal(null);
      });

      it('pulls through failover by its promise, and tells it by followProgress', async () => {
        const [first, second] = [await start({ faults: [layers.stall({ afterShare: 0.3 })] }), await start()];
        const docker = wrap([first, second]);
        const lines = await follow(docker, await docker.pull(nameAt(first), {}));
        expect(lines.at(-1)?.status).to.equal(`Status: Downloaded newer image for ${nameAt(first)}`);
        expect(lines.some(({ status }) => status?.startsWith('Failed over from '))).to.equal(true);
        expect(await namesIn(real.docker)).to.deep.equal([nameAt(first)]);
      });

      it('pulls through failover by its callback', async () => {
        const [first, second] = [await start({ faults: [metadata.status(503)] }), await start()];
        const docker = wrap([first, second]);
        const stream = await new Promise<NodeJS.ReadableStream>((resolve, reject) => {
          docker.pull(nameAt(first), {}, (error, answer) => {
            if (answer === undefined) reject(error ?? new Error('neither'));
            else resolve(answer);
          });
        });
        const lines = await follow(docker, stream);
        expect(lines.at(-1)?.status).to.equal(`Status: Downloaded newer image for ${nameAt(first)}`);
      });

      it('ends a pull by its abortSignal before there is an answer', async () => {
        const silent = await start({ faults: [metadata.noHeaders()] });
        const docker = wrap([silent]);
        const caller = new AbortController();
        const pulled = failureOf(docker.pull(nameAt(silent), { abortSignal: caller.signal }));
        await until(() => silent.requests.length > 0);
        caller.abort();
        expect(await pulled).to.include({ name: 'AbortError', code: 'ABORT_ERR' });
        expect(await namesIn(real.docker)).to.deep.equal([]);
      });
    });
  }
});
