import { readdirSync, readlinkSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { DockerEngine } from '../../../lib/engine/docker/docker-engine.js';
import { isEngineError } from '../../../lib/errors/engine-error.js';
import { isHostFaultError } from '../../../lib/errors/host-fault-error.js';
import { isPullExhaustedError } from '../../../lib/errors/pull-exhausted-error.js';
import { isUnsupportedImageError } from '../../../lib/errors/unsupported-image-error.js';
import { resolveLimits } from '../../../lib/policy/limits.js';
import { fastTimeouts, layers, seededImage, type TestImage } from '../../../lib/testing/index.js';
import { canMount, mountSmallDisk } from '../../support/small-disk.js';
import { closeHeartRigs, openHeartRig, untilQuiet } from '../../failover/support/heart-rig.js';
import { blobOf, imageOf, manifestOf } from '../../failover/support/test-documents.js';
import { failureOf } from '../../support/failure-of.js';
import { type RealEngine, removeImages } from '../../support/real-engine.js';
import { requireReal } from '../../support/real-parts.js';
import { until } from '../../support/until.js';
import { createContainerFrom, engineKinds, engineOf, namesIn, startLoad, usualReference } from './support/load-rig.js';

const megabyte = 1_000_000;

/** Files of the spool that this process has open, and those that still have a name. */
function spoolFiles(): readonly string[] {
  const open = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(join('/proc/self/fd', fd));
    } catch {
      return '';
    }
  });
  // Linux shows a file that never had a name by its number.
  const isSpool = /\/(?:pull-failover-[0-9a-f]{8}-[0-9a-f-]{27}|#\d+)(?: \(deleted\))?$/;
  const named = readdirSync(tmpdir()).map((name) => join(tmpdir(), name));
  return [...open, ...named].filter((path) => isSpool.test(path));
}

/** What engines put into their folders for temporary files while they load. */
function importsUnderWay(real: RealEngine): readonly string[] {
  if (real.store !== 'graph') return [];
  try {
    return readdirSync(join(real.dataRoot, 'tmp')).filter((name) => name.startsWith('docker-import'));
  } catch {
    return [];
  }
}

async function freeBytes(real: RealEngine): Promise<number> {
  const { bavail, bsize } = await statfs(real.dataRoot);
  return bavail * bsize;
}

const limitsOf = (extractMs: number) =>
  resolveLimits([{ path: 'timeouts', timeouts: { ...fastTimeouts, extract: { stallMs: extractMs } } }]);

for (const kind of [engineKinds.installed, engineKinds.nextContainerd, engineKinds.podman]) {
  describe(`a load into ${kind.title} that fails`, function () {
    this.timeout(90_000);
    kind.require();
    let real: RealEngine;
    let engine: DockerEngine;
    before(async () => {
      real = await kind.start();
      engine = engineOf(real);
    });
    after(async () => {
      await engine?.close();
      await real?.close();
    });
    afterEach(async () => {
      await closeHeartRigs();
      await removeImages(real);
    });

    /** Nothing of a load is left, here or there, and the engine takes the next one. */
    async function expectClean(names: readonly string[] = []): Promise<void> {
      await until(() => spoolFiles().length === 0, `no file of the spool is left: ${spoolFiles().join()}`);
      await until(() => importsUnderWay(real).length === 0, 'the engine imports nothing');
      await until(async () => (await namesIn(real.docker)).join() === names.join(), `only the names ${names.join()}`);
      const image = seededImage({ layers: 2, bytes: 20_000, seed: `afterwards ${Math.random()}` });
      const rig = await openHeartRig({ image, registries: [[]] });
      const { reference } = await (
        await startLoad(engine, rig.openPull(), { reference: 'registry.example/team/next:1' })
      ).whole();
      await createContainerFrom(real.docker, reference);
    }

    const large = (seed: string): TestImage => seededImage({ layers: 4, bytes: 8 * megabyte, seed });

    for (const [stage, fault] of [
      ['the config', (image: TestImage) => layers.noHeaders({ object: image.config.digest })],
      ['the first byte of a layer', (image: TestImage) => layers.noHeaders({ object: image.layers[0]!.digest })],
      [
        'the middle of a layer',
        (image: TestImage) => layers.stall({ object: image.layers[2]!.digest, afterBytes: megabyte }),
      ],
    ] as const) {
      it(`ends with the caller's own reason, when that comes while it waits for ${stage}`, async () => {
        const image = large(`abort at ${stage}`);
        const rig = await openHeartRig({
          image,
          registries: [[fault(image)]],
          timeouts: { layers: { firstByteMs: 60_000, stallMs: 60_000 } },
        });
        const pull = rig.openPull();
        const load = await startLoad(engine, pull);
        const failure = failureOf(load.whole());
        await until(() => rig.double('A').requests.some(({ outcome, kind }) => kind === 'blob' && outcome === 'open'));
        const reason = { a: 'reason' };
        const atMs = performance.now();
        pull.abort(reason);
        expect(await failure).to.equal(reason);
        expect(performance.now() - atMs).to.be.below(3_000);
        await untilQuiet(rig.doubles);
        await expectClean();
      });
    }

    it("ends with the caller's own reason when the engine has every byte, and leaves no name behind", async () => {
      const rig = await openHeartRig({ image: large('abort at the end'), registries: [[]] });
      const pull = rig.openPull();
      const load = await startLoad(engine, pull);
      await load.layers();
      const failure = failureOf(load.extract());
      const reason = { a: 'reason' };
      pull.abort(reason);
      expect(await failure).to.equal(reason);
      await expectClean();
    });

    it('leaves nothing when no registry has the rest of a layer', async () => {
      const image = large('exhausted');
      const rig = await openHeartRig({
        image,
        registries: [[layers.truncate({ object: image.layers[3]!.digest, afterBytes: 2 * megabyte })]],
      });
      const load = await startLoad(engine, rig.openPull());
      expect(isPullExhaustedError(await failureOf(load.layers()))).to.equal(true);
      expect(isPullExhaustedError(await failureOf(load.extract()))).to.equal(true);
      await untilQuiet(rig.doubles);
      await expectClean();
    });

    it('gives the engine nothing that a lying registry sent', async () => {
      const image = large('only lies');
      const rig = await openHeartRig({
        image,
        registries: [[layers.wrongBytes({ atShare: 0.9, object: image.layers[1]!.digest })]],
      });
      const pull = rig.openPull();
      const load = await startLoad(engine, pull);
      expect(isPullExhaustedError(await failureOf(load.whole()))).to.equal(true);
      expect(pull.ill).to.deep.equal(['A layers']);
      await expectClean();
    });

    it('is sent again when the engine was killed in the middle and comes back', async () => {
      const image = large('killed');
      const rig = await openHeartRig({
        image,
        registries: [{ bandwidth: { totalBytesPerSecond: 16 * megabyte } }],
        timeouts: {},
      });
      const load = await startLoad(engine, rig.openPull());
      const whole = load.whole();
      whole.catch(() => {});
      await until(() => load.told.includes(image.layers[0]!.digest), 'one layer is in the engine');
      await real.kill();
      await real.restart();
      expect((await whole).reference).to.equal(usualReference);
      expect(load.told.toSorted()).to.deep.equal(image.blobs.map(({ digest }) => digest).toSorted());
      await createContainerFrom(real.docker, usualReference);
      await expectClean([usualReference]);
    });

    it('is a fault of this host when the engine hangs while it takes bytes', async () => {
      const image = large('hangs');
      const rig = await openHeartRig({
        image,
        registries: [{ bandwidth: { totalBytesPerSecond: 16 * megabyte } }],
        timeouts: {},
      });
      const pull = rig.openPull();
      const load = await startLoad(engine, pull, { context: { limits: limitsOf(1_000) } });
      const failure = failureOf(load.whole());
      await until(() => load.told.includes(image.layers[0]!.digest), 'one layer is in the engine');
      await real.suspend();
      const error = await failure;
      await real.resume();
      if (!isHostFaultError(error)) throw error;
      expect(error.reason).to.include({ cause: 'engine', code: 'extract-late' });
      expect(pull.ill).to.deep.equal([]);
      await expectClean();
    });

    it('leaves the image that had the name before', async () => {
      const before = seededImage({ bytes: 20_000, seed: 'before' });
      const rig = await openHeartRig({ image: before, registries: [[]] });
      const { imageId } = await (await startLoad(engine, rig.openPull())).whole();

      const [good] = seededImage({ bytes: 20_000, seed: 'unpackable' }).layers;
      const bad = blobOf(Buffer.from('no archive at all, but long enough to be looked at'.repeat(100)));
      const config = blobOf(
        Buffer.from(
          JSON.stringify({
            os: 'linux',
            architecture: 'amd64',
            rootfs: { type: 'layers', diff_ids: [good!.digest, bad.digest] },
          }),
        ),
        'application/vnd.oci.image.config.v1+json',
      );
      const broken = imageOf({ top: manifestOf(config, [good!, bad]), config, layers: [good!, bad] });
      const brokenRig = await openHeartRig({ image: broken, registries: [[]] });
      const pull = brokenRig.openPull();
      const error = await failureOf((await startLoad(engine, pull)).whole());
      expect(isEngineError(error), String(error)).to.equal(true);
      expect(pull.ill).to.deep.equal([]);
      expect((await real.docker.getImage(usualReference).inspect()).Id).to.equal(imageId);
      await expectClean([usualReference]);
    });

    it('refuses a config that is too large to be one', async () => {
      const config = blobOf(Buffer.alloc(9 * 1024 * 1024, ' '), 'application/vnd.oci.image.config.v1+json');
      const image = imageOf({ top: manifestOf(config, []), config, layers: [] });
      const rig = await openHeartRig({ image, registries: [[]] });
      // A containerd store is not asked for its layers, but its archive holds the config too.
      expect(isUnsupportedImageError(await failureOf((await startLoad(engine, rig.openPull())).whole()))).to.equal(
        true,
      );
      expect(rig.double('A').requests.filter(({ kind }) => kind === 'blob')).to.deep.equal([]);
      await expectClean();
    });
  });

  describe(`a load into ${kind.title} on a small disk`, function () {
    this.timeout(90_000);
    kind.require();
    let real: RealEngine;
    let engine: DockerEngine;
    before(async () => {
      real = await kind.start({ dataRootBytes: 64 * 1024 * 1024 });
      engine = engineOf(real);
    });
    after(async () => {
      await engine?.close();
      await real?.close();
    });
    afterEach(closeHeartRigs);

    it('is a fault of this host when the disk is full, and small images still come', async () => {
      const image = seededImage({ layers: 8, bytes: 12 * megabyte, seed: 'too large' });
      const rig = await openHeartRig({ image, registries: [[]] });
      const pull = rig.openPull();
      const error = await failureOf((await startLoad(engine, pull)).whole());
      if (!isHostFaultError(error)) throw error;
      expect(error.reason).to.include({ cause: 'host-disk', code: 'disk-full' });
      expect(pull.ill).to.deep.equal([]);
      expect(await namesIn(real.docker)).to.deep.equal([]);
      expect(spoolFiles()).to.deep.equal([]);
      // Podman keeps the layers that it has unpacked, for the next try.
      const room = real.store === 'podman' ? megabyte : 32 * megabyte;
      await until(async () => (await freeBytes(real)) > room, 'the engine gives the room back');
      const small = await openHeartRig({ image: seededImage({ bytes: 20_000, seed: 'small' }), registries: [[]] });
      await (await startLoad(engine, small.openPull())).whole();
      await createContainerFrom(real.docker, usualReference);
    });
  });
}

describe('the spool of a load', function () {
  this.timeout(60_000);
  requireReal('mount', 'run the specs with the right to mount a tmpfs', canMount);
  engineKinds.installed.require();
  afterEach(closeHeartRigs);

  it('that has no room is a fault of this host, and of no registry', async () => {
    await using real = await engineKinds.installed.start();
    await using engine = engineOf(real);
    const disk = mountSmallDisk(4 * megabyte);
    const { TMPDIR: before } = process.env;
    const image = seededImage({ layers: 2, bytes: 8 * megabyte, seed: 'no room' });
    const rig = await openHeartRig({ image, registries: [[]] });
    const pull = rig.openPull();
    process.env['TMPDIR'] = disk.path;
    try {
      const error = await failureOf((await startLoad(engine, pull)).whole());
      if (!isHostFaultError(error)) throw error;
      expect(error.reason).to.include({ cause: 'host-disk', code: 'disk-full' });
      expect(pull.ill).to.deep.equal([]);
      expect(await namesIn(real.docker)).to.deep.equal([]);
    } finally {
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
      // It cannot be removed while anything on it is open.
      disk.remove();
    }
  });
});
