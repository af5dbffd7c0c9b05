import { inspect } from 'node:util';
import { expect } from 'chai';
import type Dockerode from 'dockerode';
import { withPullFailover, type PullFailoverOptions } from '../../lib/drop-in/with-pull-failover.js';
import { isPullExhaustedError } from '../../lib/errors/pull-exhausted-error.js';
import { layers, metadata } from '../../lib/testing/fault-groups.js';
import {
  startRegistryDouble,
  type RegistryDouble,
  type RegistryDoubleOptions,
} from '../../lib/testing/registry-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import { createContainerFrom, engineKinds } from '../routes/load/support/load-rig.js';
import { failureOf } from '../support/failure-of.js';
import type { RealEngine } from '../support/real-engine.js';
import { until } from '../support/until.js';

interface Line {
  readonly status?: string;
  readonly error?: string;
}

/** What a daemon says of a layer. */
const daemonWords: readonly string[] = [
  'Already exists',
  'Pulling fs layer',
  'Downloading',
  'Download complete',
  'Extracting',
  'Pull complete',
];

const timeouts = {
  metadata: { requestMs: 1_000, totalMs: 2_000 },
  layers: { firstByteMs: 1_000, stallMs: 600 },
} as const;

const basic = { kind: 'basic', users: { ann: 's3cret' } } as const;
const bearer = { kind: 'bearer', users: { ann: 'unused' }, identityTokens: { 't0ken-of-ann': 'ann' } } as const;

/** Where the credentials for a registry come from. */
const privately = [
  {
    what: 'the puller itself has credentials for',
    auth: basic,
    registry: { credentials: { username: 'ann', password: 's3cret' } },
    authconfig: undefined,
  },
  {
    what: 'the puller itself has an identity token for',
    auth: bearer,
    registry: { credentials: { identityToken: 't0ken-of-ann' } },
    authconfig: undefined,
  },
  {
    what: 'the caller has an identity token for',
    auth: bearer,
    registry: { credentials: 'none' },
    authconfig: { identitytoken: 't0ken-of-ann' } as Dockerode.AuthConfig,
  },
] as const;

for (const kind of Object.values(engineKinds)) {
  describe(`a dockerode with failover before ${kind.title}`, function () {
    this.timeout(60_000);
    kind.require();
    let real: RealEngine;
    const close: (() => Promise<unknown>)[] = [];
    before(async () => {
      real = await kind.start();
    });
    after(async () => {
      await real?.close();
    });
    afterEach(async () => {
      for (const step of close.splice(0).toReversed()) await step();
    });

    const image = seededImage({ bytes: [700_000, 300_000, 40_000], seed: `drop-in ${kind.title}` });

    async function start(options: RegistryDoubleOptions = {}): Promise<RegistryDouble> {
      const double = await startRegistryDouble({ images: { 'team/app:1.2': image }, ...options });
      close.push(() => double.close());
      return double;
    }
    function wrap(doubles: readonly RegistryDouble[], options: PullFailoverOptions = {}) {
      const registries = doubles.map(({ host }) => ({ prefix: `${host}/team`, credentials: 'none' as const }));
      const wrapped = withPullFailover<Dockerode>(real.docker, {
        registries,
        timeouts,
        platform: 'linux/amd64',
        ...options,
      });
      close.push(() => wrapped.puller.close());
      return wrapped;
    }
    const nameAt = ({ host }: RegistryDouble): string => `${host}/team/app:1.2`;
    const follow = (docker: Dockerode, stream: NodeJS.ReadableStream) =>
      new Promise<readonly Line[]>((resolve, reject) => {
        docker.modem.followProgress(stream, (error: Error | null, output: readonly Line[]) => {
          if (error === null) resolve(output);
          else reject(error);
        });
      });
    async function expectNothingLeft(...names: readonly string[]): Promise<void> {
      const found = await real.docker.listImages();
      const all = found.flatMap(({ RepoTags: tags, RepoDigests: digests }) => [...(tags ?? []), ...(digests ?? [])]);
      expect(all.filter((name) => name.includes('pull-failover/'))).to.deep.equal([]);
      for (const name of names) await real.docker.getImage(name).remove({ force: true });
    }

    it('brings an image through the outage, for a caller who reads it as Dokploy does', async () => {
      const [quay, hub] = [await start({ faults: [layers.stall({ afterShare: 0.3 })] }), await start()];
      const docker = wrap([quay, hub]);
      const output = await new Promise<readonly Line[]>((resolve, reject) => {
        void docker.pull(nameAt(quay), { authconfig: undefined }, (error, stream) => {
          if (stream === undefined) reject(error as Error);
          else docker.modem.followProgress(stream, (failed, lines) => (failed ? reject(failed) : resolve(lines)));
        });
      });
      expect(output.at(-1)?.status).to.equal(`Status: Downloaded newer image for ${nameAt(quay)}`);
      expect(output.filter(({ status }) => status?.startsWith('Failed over from '))).to.have.length.greaterThan(0);
      expect(quay.bytesSent + hub.bytesSent).to.be.lessThan(image.blobBytes * 1.1 + 20_000);
      await createContainerFrom(docker, nameAt(quay));
      await expectNothingLeft(nameAt(quay));
    });

    if (kind !== engineKinds.podman) {
      it('begins and ends as the daemon itself does, cold and warm', async () => {
        const quay = await start({ strict: false });
        const docker = wrap([quay]);
        const frame = (output: readonly Line[]): readonly Line[] => [...output.slice(0, 1), ...output.slice(-2)];
        for (const ends of ['Status: Downloaded newer image for ', 'Status: Image is up to date for ']) {
          const own = await follow(real.docker, await real.docker.pull(nameAt(quay)));
          if (ends.includes('Downloaded')) await real.docker.getImage(nameAt(quay)).remove({ force: true });
          const through = await follow(docker, await docker.pull(nameAt(quay)));
          expect(frame(through)).to.deep.equal(frame(own));
          expect(through.at(-1)?.status).to.equal(`${ends}${nameAt(quay)}`);
          for (const { status } of through.slice(1, -2)) expect(daemonWords).to.include(status);
        }
        await expectNothingLeft(nameAt(quay));
      });
    }

    it('says that it is up to date the second time, and fetches nothing', async () => {
      const [quay, hub] = [await start(), await start()];
      const docker = wrap([quay, hub]);
      await follow(docker, await docker.pull(nameAt(quay)));
      const sent = quay.bytesSent;
      const output = await follow(docker, await docker.createImage({ fromImage: `${quay.host}/team/app`, tag: '1.2' }));
      // Podman asks for the config each time, and says nothing of the kind itself.
      const what = real.store === 'podman' ? 'Downloaded newer image for' : 'Image is up to date for';
      expect(output.at(-1)?.status).to.equal(`Status: ${what} ${nameAt(quay)}`);
      expect(quay.bytesSent - sent).to.be.lessThan(20_000);
      expect(hub.connections).to.equal(0);
      await expectNothingLeft(nameAt(quay));
    });

    it('lets a container be created from the digest that was asked for', async () => {
      // A daemon asks more loosely than this library.
      const [quay, hub] = [await start({ strict: false }), await start({ strict: false })];
      const docker = wrap([quay, hub]);
      const name = `${quay.host}/team/app@${image.digest}`;
      const output = await follow(docker, await docker.pull(name));
      expect(output.at(-1)?.status).to.equal(`Status: Downloaded newer image for ${name}`);
      await createContainerFrom(docker, name);
      await expectNothingLeft((await docker.getImage(name).inspect()).Id);
    });

    it('says what to create it from when its registry cannot name it', async () => {
      const [quay, hub] = [await start({ faults: [metadata.status(503), layers.status(503)] }), await start()];
      const docker = wrap([quay, hub]);
      const output = await follow(docker, await docker.pull(`${quay.host}/team/app@${image.digest}`));
      const status = output.findLast((line) => line.status?.startsWith('Status: '));
      expect(status?.status).to.match(/^Status: Downloaded newer image for /);
      const warning = output.at(-1)?.status ?? '';
      const name = real.store === 'graph' ? /create containers from (\S+)$/.exec(warning)?.[1] : undefined;
      const usable = name ?? `${quay.host}/team/app@${image.digest}`;
      await createContainerFrom(docker, usable);
      await expectNothingLeft((await docker.getImage(usable).inspect()).Id);
    });

    it('shows the credentials of a caller to the registry they are for, and to no replica', async () => {
      const auth = { kind: 'basic', users: { ann: 's3cret' } } as const;
      const [quay, hub] = [await start({ auth, faults: [layers.stall({ afterShare: 0.5 })] }), await start()];
      const docker = wrap([quay, hub]);
      const authconfig = { username: 'ann', password: 's3cret', serveraddress: `http://${quay.host}` };
      const output = await follow(docker, await docker.pull(nameAt(quay), { authconfig }));
      expect(output.at(-1)?.status).to.match(/^Status: Downloaded/);
      expect(quay.requests.some(({ authorization }) => authorization === 'basic')).to.equal(true);
      expect(hub.requests.map(({ authorization }) => authorization)).to.not.include('basic');
      expect(hub.requests.length).to.be.greaterThan(0);
      await expectNothingLeft(nameAt(quay));
    });

    it('lets a container be created from the digest of a private image, and shows the credentials to nobody else', async () => {
      const auth = { kind: 'basic', users: { ann: 's3cret' } } as const;
      const [quay, hub] = [await start({ auth, strict: false }), await start({ strict: false })];
      const docker = wrap([quay, hub]);
      const name = `${quay.host}/team/app@${image.digest}`;
      const authconfig = { username: 'ann', password: 's3cret' };
      const output = await follow(docker, await docker.pull(name, { authconfig }));
      expect(output.at(-1)?.status).to.equal(`Status: Downloaded newer image for ${name}`);
      expect(hub.connections).to.equal(0);
      await createContainerFrom(docker, name);
      await expectNothingLeft((await docker.getImage(name).inspect()).Id);
    });

    for (const { what, auth, registry, authconfig } of privately) {
      it(`lets a container be created from the digest of an image that ${what}`, async () => {
        const quay = await start({ auth, strict: false });
        const docker = wrap([], { registries: [{ prefix: `${quay.host}/team`, ...registry }] });
        const name = `${quay.host}/team/app@${image.digest}`;
        const output = await follow(docker, await docker.pull(name, { authconfig }));
        expect(output.at(-1)?.status).to.equal(`Status: Downloaded newer image for ${name}`);
        await createContainerFrom(docker, name);
        await expectNothingLeft((await docker.getImage(name).inspect()).Id);
      });
    }

    it('rejects with 404 when the credentials are wrong, and repeats them nowhere', async () => {
      const auth = { kind: 'basic', users: { ann: 's3cret' } } as const;
      const docker = wrap([await start({ auth })]);
      const [quay] = docker.puller.health();
      const name = `${quay?.registry ?? ''}/app:1.2`;
      const failure = await failureOf(docker.pull(name, { authconfig: { username: 'ann', password: 'wr0ng-wr0ng' } }));
      expect(failure).to.include({ statusCode: 404 });
      expect(inspect(failure, { depth: Infinity })).to.not.include('wr0ng');
    });

    it('rejects with 404 when nobody has it, and leaves nothing behind', async () => {
      const [quay, hub] = [await start(), await start()];
      const docker = wrap([quay, hub]);
      const failure = await failureOf(docker.pull(`${quay.host}/team/app:nobody-has-it`));
      expect(isPullExhaustedError(failure)).to.equal(true);
      expect(failure).to.include({ statusCode: 404 });
      await expectNothingLeft();
    });

    it('says in the last line when nobody can serve its layers, and the next pull is fine', async () => {
      const faults = [layers.status(503)];
      const [quay, hub] = [await start({ faults }), await start({ faults })];
      const docker = wrap([quay, hub]);
      const output = await follow(docker, await docker.pull(nameAt(quay)));
      expect(output.at(-1)?.error).to.match(/^No registry could serve /);
      await expectNothingLeft();
      await Promise.all([quay.setFaults([]), hub.setFaults([])]);
      const again = await follow(docker, await docker.pull(nameAt(quay)));
      expect(again.at(-1)?.status).to.match(/^Status: Downloaded/);
      await expectNothingLeft(nameAt(quay));
    });

    it('ends the pull in the engine when the stream is destroyed, and the next one is fine', async () => {
      // A containerd store may still have the layers of images that were removed.
      const images = { 'team/app:1.2': seededImage({ bytes: 800_000, seed: `ended ${kind.title}` }) };
      const slow = await start({ images, bandwidth: { totalBytesPerSecond: 200_000 } });
      const docker = wrap([slow]);
      const stream = await docker.pull(nameAt(slow));
      await until(() => slow.bytesSent > 60_000);
      (stream as unknown as { destroy(): void }).destroy();
      await until(() => slow.requests.every(({ outcome }) => outcome !== 'open'));
      await expectNothingLeft();
      const fast = await start({ images });
      const other = wrap([fast]);
      const output = await follow(other, await other.pull(nameAt(fast)));
      expect(output.at(-1)?.status).to.match(/^Status: Downloaded/);
      await expectNothingLeft(nameAt(fast));
    });
  });
}
