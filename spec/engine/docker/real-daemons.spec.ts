import { expect } from 'chai';
import { getEventListeners } from 'node:events';
import type { Readable } from 'node:stream';
import Dockerode from 'dockerode';
import type { DaemonCredentials, DaemonPull, DaemonUser } from '../../../lib/engine/docker/docker-daemon.js';
import { dockerEngine, dockerParts } from '../../../lib/engine/docker/docker-engine.js';
import type { EngineFailure } from '../../../lib/engine/docker/engine-failure.js';
import { openDockerDaemon, type OpenDockerDaemon } from '../../../lib/engine/docker/open-docker-daemon.js';
import type { EngineProgress } from '../../../lib/engine/docker/progress-stream.js';
import { layers } from '../../../lib/testing/fault-groups.js';
import { pushImage } from '../../../lib/testing/push-image.js';
import { startRegistryDouble } from '../../../lib/testing/registry-double.js';
import { seededImage } from '../../../lib/testing/seeded-image.js';
import { type RealEngine, requireDockerd, requireNextRelease, startDockerd } from '../../support/docker-engine.js';
import {
  type DockerRegistry,
  registryUser,
  requireDockerRegistry,
  startDockerRegistry,
} from '../../support/docker-registry.js';
import { failureOf } from '../../support/failure-of.js';
import { requirePodman, startPodman } from '../../support/podman-engine.js';
import { until } from '../../support/until.js';

const engines: readonly {
  readonly name: string;
  readonly require: () => void;
  readonly start: () => Promise<RealEngine>;
  readonly product: 'docker' | 'podman';
  readonly version: RegExp;
}[] = [
  {
    name: 'Docker of this release',
    require: requireDockerd,
    start: startDockerd,
    product: 'docker',
    version: /^\d+\./,
  },
  {
    name: 'Docker of the next release with its classic store',
    require: requireNextRelease,
    start: () => startDockerd({ release: 'next' }),
    product: 'docker',
    version: /^\d+\./,
  },
  {
    name: 'Docker of the next release with its containerd store',
    require: requireNextRelease,
    start: () => startDockerd({ store: 'containerd' }),
    product: 'docker',
    version: /^\d+\./,
  },
  { name: 'Podman', require: requirePodman, start: startPodman, product: 'podman', version: /^\d+\.\d+\.\d+/ },
];

const never = new AbortController().signal;
const image = seededImage({ seed: 'real daemons', layers: 3, bytes: 300_000 });
const nobody: DaemonUser = { username: 'nobody', password: 'nothing', serveraddress: '' };

async function drain(lines: AsyncIterable<EngineProgress>): Promise<readonly EngineProgress[]> {
  const all: EngineProgress[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

for (const { name, require, start, product, version } of engines) {
  describe(`The API of ${name}`, function () {
    this.timeout(120_000);
    requireDockerRegistry();
    require();
    let engine: RealEngine;
    let daemon: OpenDockerDaemon;
    let registry: DockerRegistry;

    before(async () => {
      engine = await start();
      daemon = openDockerDaemon(engine.docker, `unix://${engine.socketPath}`);
      registry = await startDockerRegistry();
      await pushImage(registry.url, 'aptible/redis:3.0', image);
    });

    after(async () => {
      await daemon?.close();
      await registry?.close();
      await engine?.close();
    });

    const pullOf = (
      object: string,
      host = registry.host,
      credentials: DaemonCredentials | null = null,
    ): DaemonPull => ({
      name: `${host}/aptible/redis`,
      object,
      platform: 'linux/amd64',
      credentials,
      plainHttp: true,
    });

    async function forget(): Promise<void> {
      for (const { tags, digests } of await daemon.list()) {
        for (const each of [...tags, ...digests]) await daemon.untag(each);
      }
      expect(await daemon.list()).to.deep.equal([]);
    }

    afterEach(forget);

    it('tells what it is', async () => {
      const traits = await daemon.traits({});
      expect(traits).to.include({ product, store: engine.store });
      expect(traits.platform).to.match(/^linux\/(?:amd64|arm64)$/);
      expect(traits.version).to.match(version);
      expect(traits.daemonId).not.to.equal('');
      expect(traits.daemonId).to.equal((await daemon.traits({ fresh: true })).daemonId);
      expect(traits.insecureCidrs).to.deep.equal(product === 'podman' ? [] : traits.insecureCidrs);
      if (product === 'docker') expect(traits.insecureCidrs).to.include('127.0.0.0/8');
    });

    it('brings an image by tag and by digest, which is then there under its names', async () => {
      for (const object of ['3.0', image.digest]) {
        const lines = await drain(daemon.pull(pullOf(object), never));
        expect(lines.length).to.be.above(2);
        const reference = `${registry.host}/aptible/redis${object === '3.0' ? ':' : '@'}${object}`;
        const found = await daemon.inspect(reference);
        expect(found?.platform, object).to.deep.equal({ os: 'linux', architecture: 'amd64' });
        expect(found?.diffIds).to.have.length(3);
        expect(found?.id).to.equal(engine.store === 'containerd' ? image.digest : image.manifests[0]?.config.digest);
        expect((await daemon.list()).map(({ id }) => id)).to.deep.equal([found?.id]);
      }
    });

    it('tells of each layer by the beginning of its digest', async () => {
      const lines = await drain(daemon.pull(pullOf('3.0'), never));
      const expected = (image.manifests[0]?.layers ?? []).map(({ digest }) => digest.slice('sha256:'.length, 19));
      expect(expected).to.have.length(3);
      expect(lines.map(({ id }) => id)).to.include.members(expected);
    });

    it('gives names and takes them away', async () => {
      await drain(daemon.pull(pullOf('3.0'), never));
      const [before] = await daemon.list();
      await daemon.tag(`${registry.host}/aptible/redis:3.0`, { name: 'quay.io/aptible/redis', tag: '3.0' });
      await daemon.untag(`${registry.host}/aptible/redis:3.0`);
      expect(await daemon.inspect(`${registry.host}/aptible/redis:3.0`)).to.equal(null);
      const after = await daemon.inspect('quay.io/aptible/redis:3.0');
      expect(after?.id).to.equal(before?.id);
      expect(after?.tags).to.include('quay.io/aptible/redis:3.0');
      await daemon.untag(`${registry.host}/aptible/redis:3.0`);
    });

    it('says that an image is not there', async () => {
      expect(await daemon.inspect('quay.io/aptible/none:1')).to.equal(null);
      expect(await failureOf(drain(daemon.pull(pullOf('none'), never)))).to.include({
        fault: 'missing',
        isLost: false,
      });
    });

    it('shows the registry the credentials that it was given, and no others', async () => {
      await using own = await startDockerRegistry({ auth: 'htpasswd' });
      const { name: username, password } = registryUser;
      const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
      await pushImage(own.url, 'aptible/redis:3.0', image, { authorization });
      const pullAs = (credentials: DaemonCredentials | null): Promise<unknown> =>
        drain(daemon.pull(pullOf('3.0', own.host, credentials), never));
      expect(await failureOf(pullAs(null))).to.include({ fault: 'denied' });
      expect(await failureOf(pullAs({ ...nobody, serveraddress: own.host }))).to.include({ fault: 'denied' });
      await pullAs({ username, password, serveraddress: own.host });
      expect(await daemon.inspect(`${own.host}/aptible/redis:3.0`)).not.to.equal(null);
    });

    it('has the token service take the identity token that it was given', async () => {
      const auth = { kind: 'bearer', users: { ann: 'unused' }, identityTokens: { 't0ken-of-ann': 'ann' } } as const;
      // Daemons ask for blobs with whatever encoding.
      await using own = await startRegistryDouble({ images: { 'aptible/redis:3.0': image }, auth, strict: false });
      const pullAs = (identitytoken: string): Promise<unknown> =>
        drain(daemon.pull(pullOf('3.0', own.host, { identitytoken, serveraddress: own.host }), never));
      expect(await failureOf(pullAs('of nobody'))).to.include({ fault: 'denied' });
      await pullAs('t0ken-of-ann');
      expect(await daemon.inspect(`${own.host}/aptible/redis:3.0`)).not.to.equal(null);
    });

    it('takes an archive', async () => {
      await drain(daemon.pull(pullOf('3.0'), never));
      await daemon.tag(`${registry.host}/aptible/redis:3.0`, { name: 'quay.io/aptible/redis', tag: '3.0' });
      const chunks: Buffer[] = [];
      const saved = (await engine.docker.getImage('quay.io/aptible/redis:3.0').get()) as Readable;
      for await (const chunk of saved) chunks.push(chunk as Buffer);
      await forget();
      async function* archive(): AsyncGenerator<Uint8Array> {
        yield* chunks;
      }
      const lines = await drain(daemon.load(archive(), never));
      expect(lines.some(({ status }) => status.startsWith('Loaded image'))).to.equal(true);
      expect(await daemon.inspect('quay.io/aptible/redis:3.0')).not.to.equal(null);
    });

    it('says why it does not take an archive, however much of it is still to come', async () => {
      let given = 0;
      async function* garbage(): AsyncGenerator<Uint8Array> {
        for (; given < 512; given += 1) yield Buffer.alloc(256 * 1024, 'no archive');
      }
      const failure = (await failureOf(drain(daemon.load(garbage(), never)))) as EngineFailure;
      expect(failure).to.include({ name: 'EngineFailure', isLost: false });
      expect(failure.text).not.to.equal('');
      expect(await daemon.list()).to.deep.equal([]);
    });

    it('lets a pull go at an abort, and a load', async () => {
      await using stalling = await startRegistryDouble({
        images: { 'aptible/redis:3.0': seededImage({ seed: 'stalled', bytes: 8_000_000 }) },
        faults: [layers.stall({ afterBytes: 2_000_000 })],
        strict: false,
      });
      const controller = new AbortController();
      const reason = new Error('the host has changed its mind');
      const work = failureOf(drain(daemon.pull(pullOf('3.0', stalling.host), controller.signal)));
      await until(() => stalling.requests.some(({ path }) => path.includes('/blobs/')));
      controller.abort(reason);
      expect(await work).to.equal(reason);
      expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);

      const second = new AbortController();
      let given = 0;
      async function* endless(): AsyncGenerator<Uint8Array> {
        for (;;) {
          given += 1;
          yield Buffer.alloc(1024);
          if (given > 100) second.abort(reason);
        }
      }
      expect(await failureOf(drain(daemon.load(endless(), second.signal)))).to.equal(reason);
      await drain(daemon.pull(pullOf('3.0'), never));
      expect(await daemon.list()).to.have.length(1);
    });

    it('is lost when it is killed, and known again when it is back', async () => {
      await using stalling = await startRegistryDouble({
        images: { 'aptible/redis:3.0': seededImage({ seed: 'killed', bytes: 8_000_000 }) },
        faults: [layers.stall({ afterBytes: 2_000_000 })],
        strict: false,
      });
      const work = failureOf(drain(daemon.pull(pullOf('3.0', stalling.host), never)));
      await until(() => stalling.requests.some(({ path }) => path.includes('/blobs/')));
      await engine.kill();
      expect(await work).to.include({ fault: 'daemon', isLost: true });
      expect(await failureOf(daemon.whenBack(300, never))).to.include({ fault: 'unreachable' });
      const back = daemon.whenBack(60_000, never);
      await engine.restart();
      await back;
      expect((await daemon.traits({})).store).to.equal(engine.store);
      const again = (): Promise<unknown> => drain(daemon.pull(pullOf('3.0'), never));
      // A containerd that was killed may trip once over the folder of a snapshot that it had not written down.
      await again().catch(again);
    });

    it('is reached as Docker’s own client would reach it', async () => {
      const { DOCKER_HOST: before } = process.env;
      process.env['DOCKER_HOST'] = `unix://${engine.socketPath}`;
      try {
        await using own = dockerEngine();
        expect((await dockerParts(own).daemon.traits({})).store).to.equal(engine.store);
      } finally {
        if (before === undefined) delete process.env['DOCKER_HOST'];
        else process.env['DOCKER_HOST'] = before;
      }
    });

    it('is used through a dockerode that pins its version and limits its silence', async () => {
      const docker = new Dockerode({ socketPath: engine.socketPath, version: 'v1.41', timeout: 20_000 });
      await using own = openDockerDaemon(docker, 'unix://');
      await drain(own.pull(pullOf('3.0'), never));
      expect(await own.list()).to.have.length(1);
    });
  });
}

describe('The API of Podman that trusts a registry', function () {
  this.timeout(60_000);
  requireDockerRegistry();
  requirePodman();

  it('brings an image in the words of Docker, by tag and by digest, new and again', async () => {
    const registryConfig = '[[registry]]\nprefix = "127.0.0.1"\nlocation = "127.0.0.1"\ninsecure = true\n';
    await using engine = await startPodman({ registryConfig });
    await using registry = await startDockerRegistry();
    await pushImage(registry.url, 'aptible/redis:3.0', image);
    await using daemon = openDockerDaemon(engine.docker, `unix://${engine.socketPath}`);
    const request = { name: `${registry.host}/aptible/redis`, platform: 'linux/amd64', credentials: null };
    for (const object of ['3.0', '3.0', image.digest, image.digest]) {
      const lines = await drain(daemon.pull({ ...request, object }, never));
      expect(lines.at(-1)?.status, object).to.equal('Download complete');
    }
    expect(await failureOf(drain(daemon.pull({ ...request, object: 'none' }, never)))).to.include({ fault: 'missing' });
    expect(await daemon.list()).to.have.length(1);
  });
});
