import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type Dockerode from 'dockerode';
import { expect } from 'chai';
import { dockerEngine, type DockerEngine } from '../../../lib/engine/docker/docker-engine.js';
import { ociArchive } from '../../../lib/engine/docker/oci-archive.js';
import { isEngineError } from '../../../lib/errors/engine-error.js';
import { isHostFaultError } from '../../../lib/errors/host-fault-error.js';
import {
  layers,
  seededImage,
  startRegistryDouble,
  type RegistryDouble,
  type TestBlob,
  type TestImage,
} from '../../../lib/testing/index.js';
import { closeHeartRigs, openHeartRig } from '../../failover/support/heart-rig.js';
import { beforeRequest } from '../../support/before-request.js';
import { failureOf } from '../../support/failure-of.js';
import type { RealEngine } from '../../support/real-engine.js';
import { requireReal } from '../../support/real-parts.js';
import { useTemporaryDirectory } from '../../support/temporary-directory.js';
import { until } from '../../support/until.js';
import { zstdImage } from '../support/zstd-image.js';
import {
  createContainerFrom,
  engineKinds,
  engineOf,
  namesIn,
  nextClassic,
  startLoad,
  usualReference,
} from './support/load-rig.js';

/** Another client's pull, from a registry of its own; ends when its connection does. */
function startPull(docker: Dockerode, reference: string): { readonly isOver: boolean; readonly end: () => void } {
  const abort = new AbortController();
  let isOver = false;
  const over = (): void => {
    isOver = true;
  };
  docker.pull(reference, { abortSignal: abort.signal }, (error: unknown, stream?: NodeJS.ReadableStream) => {
    if (error !== null) over();
    stream?.on('error', over).on('end', over).resume();
  });
  return {
    get isOver() {
      return isOver;
    },
    end: () => abort.abort(),
  };
}

for (const kind of [engineKinds.installed, engineKinds.nextContainerd]) {
  describe(`a load into ${kind.title} that others hold up`, function () {
    this.timeout(60_000);
    kind.require();
    let real: RealEngine;
    let engine: DockerEngine;
    let registry: RegistryDouble | null = null;
    beforeEach(async () => {
      real = await kind.start();
      engine = engineOf(real);
    });
    afterEach(async () => {
      // First its upstream: what a daemon waits for it waits for after its own end, too.
      await registry?.close();
      registry = null;
      await closeHeartRigs();
      await engine?.close();
      await real?.close();
    });

    async function expectLoaded(image: TestImage): Promise<void> {
      const rig = await openHeartRig({ image, registries: [[]] });
      const load = await startLoad(engine, rig.openPull());
      const startMs = performance.now();
      await load.whole();
      expect(performance.now() - startMs).to.be.below(8_000);
      await createContainerFrom(real.docker, usualReference);
    }

    it('goes through although another client waits for the same layers, at a registry that stalls', async () => {
      const image = seededImage({ layers: 3, bytes: 3_000_000, seed: 'escape same' });
      registry = await startRegistryDouble({
        images: { 'team/app:1': image },
        // Docker offers to take layers compressed once more.
        strict: false,
        faults: [
          layers.noHeaders({ object: image.layers[0]!.digest }),
          ...image.layers.slice(1).map(({ digest }) => layers.stall({ object: digest, afterBytes: 1_100_000 })),
        ],
      });
      const { requests } = registry;
      const pull = startPull(real.docker, `${registry.host}/team/app:1`);
      await until(() => requests.filter(({ kind: asked }) => asked === 'blob').length >= 3, 'it asks for layers');
      await expectLoaded(image);
      expect(pull.isOver, 'the other one still waits').to.equal(false);
      pull.end();
    });

    it('goes through although aborted pulls hold every download slot and the layers themselves', async () => {
      const image = seededImage({ layers: 4, bytes: 50_000, seed: 'escape slots' });
      registry = await startRegistryDouble({
        images: { 'team/app:1': image },
        strict: false,
        faults: image.layers.map(({ digest }) => layers.noHeaders({ object: digest })),
      });
      const { requests } = registry;
      const pull = startPull(real.docker, `${registry.host}/team/app:1`);
      const layerRequests = () => requests.filter(({ object }) => image.layers.some(({ digest }) => digest === object));
      await until(() => layerRequests().length >= 3, 'it asks for as many layers as there are slots');
      pull.end();
      await expectLoaded(image);
    });

    it('goes through on what a lying registry and an abort have left', async () => {
      const image = seededImage({ layers: 2, bytes: 4_000_000, seed: 'escape poison' });
      registry = await startRegistryDouble({
        images: { 'team/app:1': image },
        strict: false,
        faults: image.layers.map(({ digest }) => layers.wrongBytes({ object: digest, atByte: 10 })),
        bandwidth: { perConnectionBytesPerSecond: 2_000_000 },
      });
      const double = registry;
      const pull = startPull(real.docker, `${registry.host}/team/app:1`);
      await until(() => double.bytesSent > 4_500_000, 'wrong bytes are in the engine');
      pull.end();
      await expectLoaded(image);
    });
  });
}

describe('a load of layers that Docker cannot unpack', function () {
  this.timeout(60_000);
  afterEach(closeHeartRigs);

  const image = zstdImage('zstd');

  describe('in an old version', () => {
    engineKinds.installed.require();

    it('says so, and blames no registry', async () => {
      await using real = await engineKinds.installed.start();
      await using engine = engineOf(real);
      const rig = await openHeartRig({ image, registries: [[]] });
      const pull = rig.openPull();
      const error = await failureOf((await startLoad(engine, pull)).whole());
      expect(isEngineError(error), String(error)).to.equal(true);
      expect(String(error)).to.match(/zstd/);
      expect(pull.ill).to.deep.equal([]);
      expect(await namesIn(real.docker)).to.deep.equal([]);
    });
  });

  for (const kind of [nextClassic, engineKinds.nextContainerd, engineKinds.podman]) {
    describe(`is no trouble for ${kind.title}`, () => {
      kind.require();

      it('that knows zstd', async () => {
        await using real = await kind.start();
        await using engine = engineOf(real);
        const rig = await openHeartRig({ image, registries: [[]] });
        await (await startLoad(engine, rig.openPull())).whole();
        await createContainerFrom(real.docker, usualReference);
      });
    });
  }
});

describe('a load into an engine that is not there', function () {
  this.timeout(60_000);
  engineKinds.installed.require();
  afterEach(closeHeartRigs);

  it('is a fault of this host, at once, and asks no registry for a blob', async () => {
    const real = await engineKinds.installed.start();
    await using engine = engineOf(real);
    await real.close();
    const rig = await openHeartRig({ registries: [[]] });
    const error = await failureOf((await startLoad(engine, rig.openPull())).whole());
    if (!isHostFaultError(error)) throw error;
    expect(error.reason.cause).to.equal('engine');
    expect(rig.double('A').requests.filter(({ kind }) => kind === 'blob')).to.deep.equal([]);
  });

  it("ends with the caller's own reason while it waits for an engine to come back", async () => {
    await using real = await engineKinds.installed.start();
    await using engine = engineOf(real);
    const image = seededImage({ layers: 3, bytes: 4_000_000, seed: 'never back' });
    const rig = await openHeartRig({
      image,
      registries: [{ bandwidth: { totalBytesPerSecond: 8_000_000 } }],
      timeouts: {},
    });
    const pull = rig.openPull();
    const load = await startLoad(engine, pull);
    const failure = failureOf(load.whole());
    await until(() => load.told.length >= 2, 'the engine takes bytes');
    await real.kill();
    const reason = { a: 'reason' };
    setTimeout(() => pull.abort(reason), 1_000);
    expect(await failure).to.equal(reason);
  });
});

for (const kind of [engineKinds.installed, engineKinds.nextContainerd, engineKinds.podman]) {
  describe(`a load into ${kind.title}, which is killed when it has all of the image`, function () {
    this.timeout(60_000);
    kind.require();
    afterEach(closeHeartRigs);

    for (const [moment, path] of [
      ['gets its name', /\/tag\?/],
      ['loses the other one', /^\/images\/127\.0\.0\.1.*\/pull-failover\/[^?]*(?<!\/json|\/tag)(?:\?|$)/],
    ] as const) {
      it(`ends with the image under its own name alone, when that happens before it ${moment}`, async () => {
        await using real = await kind.start();
        const restarts: Promise<void>[] = [];
        const docker = beforeRequest(real.docker, path, async () => {
          await real.kill();
          restarts.push(new Promise((resolve) => setTimeout(resolve, 300)).then(() => real.restart()));
        });
        await using engine = dockerEngine(docker);
        const image = seededImage({ layers: 2, bytes: 500_000, seed: 'restart' });
        const rig = await openHeartRig({ image, registries: [[]] });
        const load = await startLoad(engine, rig.openPull());
        const { imageId } = await load.whole();
        expect(restarts, 'it was killed').to.have.length(1);
        await Promise.all(restarts);
        expect((await real.docker.getImage(usualReference).inspect()).Id).to.equal(imageId);
        expect(await namesIn(real.docker)).to.deep.equal([usualReference]);
        await createContainerFrom(real.docker, usualReference);
      });
    }
  });
}

describe('a load of an image that a containerd store has, but never unpacked', function () {
  this.timeout(60_000);
  engineKinds.nextContainerd.require();
  requireReal('ctr', 'apt-get install containerd');
  const directory = useTemporaryDirectory();
  afterEach(closeHeartRigs);

  it('has it unpacked, and sends no layer', async () => {
    await using real = await engineKinds.nextContainerd.start();
    await using engine = engineOf(real);
    const image = seededImage({ layers: 2, bytes: 100_000, seed: 'never unpacked' });
    const archived = (blob: TestBlob) => ({
      digest: blob.digest,
      size: blob.sizeBytes,
      read: async function* read() {
        yield* blob.read();
      },
    });
    const archive = ociArchive({
      name: usualReference,
      root: image.top,
      documents: [image.top],
      config: archived(image.config),
      layers: image.layers.map(archived),
      omitted: new Set(),
    });
    const path = join(directory.path, 'image.tar');
    await writeFile(path, archive);
    const address = `/proc/${real.processId}/root/run/docker/containerd/containerd.sock`;
    const ctr = (...words: readonly string[]): string =>
      execFileSync('ctr', ['-a', address, '-n', 'moby', ...words], { encoding: 'utf8' });
    const snapshots = (): number => ctr('snapshots', 'ls').trim().split('\n').length - 1;
    ctr('images', 'import', '--no-unpack', path);
    expect(await namesIn(real.docker)).to.deep.equal([usualReference]);
    expect(snapshots()).to.equal(0);

    const rig = await openHeartRig({ image, registries: [[]] });
    await (await startLoad(engine, rig.openPull())).whole();
    expect(snapshots()).to.equal(2);
    await createContainerFrom(real.docker, usualReference);
    const asked = rig.double('A').requests.filter(({ kind }) => kind === 'blob');
    expect(asked.map(({ object }) => object)).to.deep.equal([image.config.digest]);
  });
});
