import { expect } from 'chai';
import { ociLayout, type OciLayout } from '../../lib/engine/layout/oci-layout.js';
import { isHostFaultError } from '../../lib/errors/host-fault-error.js';
import { isPullExhaustedError } from '../../lib/errors/pull-exhausted-error.js';
import { isUnsupportedImageError } from '../../lib/errors/unsupported-image-error.js';
import type { ImageTree } from '../../lib/failover/manifest/image-tree.js';
import { resolveImage } from '../../lib/failover/manifest/resolve-image.js';
import { SharedFetches } from '../../lib/failover/shared/shared-fetch.js';
import type { Descriptor } from '../../lib/image/descriptor.js';
import { parsePlatform } from '../../lib/image/platform.js';
import { parseReference } from '../../lib/image/reference.js';
import { Comeback } from '../../lib/routes/comeback.js';
import { startLayoutRoute } from '../../lib/routes/layout.js';
import type { RouteRun } from '../../lib/routes/route.js';
import { layers, repackage, seededImage, type TestImage } from '../../lib/testing/index.js';
import type { Digest } from '../../lib/vocabulary/digest.js';
import {
  closeHeartRigs,
  type HeartPull,
  type HeartRig,
  openHeartRig,
  untilQuiet,
} from '../failover/support/heart-rig.js';
import { blobOf, configOf, descriptorOf, imageOf, manifestOf } from '../failover/support/test-documents.js';
import { expectWhole, leftovers, usePullRig } from '../puller/pull-rig.js';
import { failureOf } from '../support/failure-of.js';
import { useTemporaryDirectory } from '../support/temporary-directory.js';
import { until } from '../support/until.js';

const image = seededImage({ layers: 6, bytes: 100_000, seed: 'layout route' });

/** An image without a tag's detours: what there is to bring. */
async function treeOf(pull: HeartPull): Promise<ImageTree> {
  const { tree } = await resolveImage(pull.context, {
    reference: parseReference('registry.example/team/app:1'),
    platform: parsePlatform('linux/amd64'),
    policy: { onDivergence: 'remembered', onUnverified: 'accept' },
    memory: { recall: async () => null, remember: async () => {} },
    local: async () => null,
  });
  return tree;
}

describe('the blobs of an image', () => {
  const directory = useTemporaryDirectory();
  let layout: OciLayout;
  beforeEach(() => {
    layout = ociLayout(directory.path);
  });
  afterEach(async () => {
    await closeHeartRigs();
    await layout.close();
  });

  function start(pull: HeartPull, tree: ImageTree, onBlob: (blob: Descriptor) => void, into = layout): RouteRun {
    return startLayoutRoute(into, {
      context: pull.context,
      comeback: new Comeback(null, pull.context.pullId),
      reference: parseReference('registry.example/team/app:1'),
      platform: parsePlatform('linux/amd64'),
      tree,
      shared: new SharedFetches(),
      shareKey: 'key',
      onBlob,
      onRouteChanged: () => {},
    });
  }

  async function deliver(pull: HeartPull, tree: ImageTree): Promise<readonly Digest[]> {
    const brought: Digest[] = [];
    await start(pull, tree, ({ digest }) => brought.push(digest)).layers();
    return brought;
  }

  const requestedBlobs = (rig: HeartRig): readonly (string | null)[] =>
    rig
      .double('A')
      .requests.filter(({ kind }) => kind === 'blob')
      .map(({ object }) => object);

  it('are all there in the end, each told once, and nothing has a name yet', async () => {
    const rig = await openHeartRig({ image, registries: [[]] });
    const pull = rig.openPull();
    const brought = await deliver(pull, await treeOf(pull));
    const expected = image.blobs.map(({ digest }) => digest);
    expect(brought.toSorted()).to.deep.equal(expected.toSorted());
    for (const { digest, sizeBytes } of image.blobs) {
      expect((await layout.readBlob(digest, sizeBytes))?.length).to.equal(sizeBytes);
    }
    expect(await layout.listImages()).to.deep.equal([]);
  });

  it('come at most four at a time', async () => {
    const rig = await openHeartRig({ image, registries: [[layers.delay({ ms: 100 })]] });
    const pull = rig.openPull();
    const tree = await treeOf(pull);
    let atOnce = 0;
    const timer = setInterval(() => {
      const open = rig.double('A').requests.filter(({ kind, outcome }) => kind === 'blob' && outcome === 'open').length;
      atOnce = Math.max(atOnce, open);
    }, 5);
    await deliver(pull, tree);
    clearInterval(timer);
    expect(atOnce).to.equal(4);
  });

  it('that are there already are not asked for', async () => {
    const rig = await openHeartRig({ image, registries: [[]] });
    const pull = rig.openPull();
    const tree = await treeOf(pull);
    const [first] = image.layers;
    if (first === undefined) throw new Error('there is one');
    await layout.putBlob(Buffer.concat([...first.read()]), first.digest);
    await deliver(pull, tree);
    expect(requestedBlobs(rig))
      .to.have.length(image.blobs.length - 1)
      .and.not.include(first.digest);
    await deliver(pull, tree);
    expect(requestedBlobs(rig)).to.have.length(image.blobs.length - 1);
  });

  it('that are named several times come once', async () => {
    const same = seededImage({ layers: 5, bytes: 50_000, sameLayers: true, seed: 'layout route' });
    const rig = await openHeartRig({ image: same, registries: [[]] });
    const pull = rig.openPull();
    const brought = await deliver(pull, await treeOf(pull));
    expect(brought).to.have.length(2);
    expect(requestedBlobs(rig)).to.have.length(2);
  });

  /** An image of one config and these layers, as its manifest describes them. */
  const imageWith = (described: readonly Readonly<Record<string, unknown>>[]): TestImage => {
    const config = configOf('linux/amd64');
    return imageOf({ top: manifestOf(config, described), config, layers: [] });
  };

  it('of no bytes, or embedded in the manifest, need no request', async () => {
    const empty = blobOf(new Uint8Array(0));
    const embedded = blobOf(Buffer.from('embedded'));
    const data = Buffer.from('embedded').toString('base64');
    const rig = await openHeartRig({
      image: imageWith([descriptorOf(empty), descriptorOf(embedded, { data })]),
      registries: [[]],
    });
    const pull = rig.openPull();
    const tree = await treeOf(pull);
    await deliver(pull, tree);
    expect(requestedBlobs(rig)).to.deep.equal([tree.config.digest]);
    expect(await layout.readBlob(empty.digest, 0)).to.have.length(0);
    expect(Buffer.from((await layout.readBlob(embedded.digest, 100)) ?? []).toString()).to.equal('embedded');
  });

  it("that cannot have no bytes are nobody's to deliver", async () => {
    const liar = descriptorOf(blobOf(Buffer.from('x')), { size: 0 });
    const rig = await openHeartRig({ image: imageWith([liar]), registries: [[]] });
    const pull = rig.openPull();
    const tree = await treeOf(pull);
    expect(isUnsupportedImageError(await failureOf(deliver(pull, tree)))).to.equal(true);
    expect(pull.ill).to.deep.equal([]);
  });

  it('of which one cannot be had end the others, which keep what they have for the next pull', async () => {
    const [first, ...others] = image.layers;
    const rig = await openHeartRig({
      image,
      registries: [
        {
          faults: [
            layers.missing({ object: first?.digest ?? '' }),
            // The others have their first bytes by then.
            layers.delay({ object: first?.digest ?? '', ms: 300 }),
            ...others.map(({ digest }) => layers.stall({ object: digest, afterBytes: 60_000 })),
          ],
        },
      ],
      timeouts: { layers: { firstByteMs: 10_000, stallMs: 10_000 } },
    });
    const pull = rig.openPull();
    const tree = await treeOf(pull);
    expect(isPullExhaustedError(await failureOf(deliver(pull, tree)))).to.equal(true);
    await untilQuiet(rig.doubles);
    await rig.double('A').setFaults([]);
    const before = rig.double('A').requests.length;
    await deliver(rig.openPull(), tree);
    const started = rig
      .double('A')
      .requests.slice(before)
      .map(({ range }) => range?.start ?? 0);
    expect(Math.max(...started), 'some bytes were kept').to.be.above(0);
  });

  it('stop with the reason of the caller', async () => {
    const rig = await openHeartRig({ image, registries: [[layers.stall({ afterBytes: 50_000 })]] });
    const pull = rig.openPull();
    const tree = await treeOf(pull);
    const failure = failureOf(deliver(pull, tree));
    await until(() => rig.double('A').bytesSent > 100_000, 'blobs are coming');
    const reason = { a: 'reason' };
    pull.abort(reason);
    expect(await failure).to.equal(reason);
    await untilQuiet(rig.doubles);
  });

  it('get a name when everything else is there: the index and the manifest with them', async () => {
    const multi = seededImage({ platforms: ['linux/arm64', 'linux/amd64'], bytes: 3_000, seed: 'layout route' });
    const rig = await openHeartRig({ image: multi, registries: [[]] });
    const pull = rig.openPull();
    const tree = await treeOf(pull);
    const run = start(pull, tree, () => {});
    await run.layers();
    expect(await run.extract()).to.deep.equal({
      imageId: tree.config.digest,
      reference: 'registry.example/team/app:1',
      route: 'layout',
    });
    const found = await layout.findImage('registry.example/team/app:1');
    expect(found).to.deep.include({ digest: multi.digest, size: multi.top.bytes.length, mediaType: multi.mediaType });
    for (const { digest, bytes } of tree.documents) {
      expect(await layout.readBlob(digest, bytes.length)).to.deep.equal(Uint8Array.from(bytes));
    }
  });

  it('get no name from a disk that answers nothing: a fault of this host', async () => {
    const rig = await openHeartRig({ image, registries: [[]], timeouts: { extract: { stallMs: 50 } } });
    const pull = rig.openPull();
    const tree = await treeOf(pull);
    const dead: OciLayout = { ...layout, putBlob: () => new Promise(() => {}) };
    const error = await failureOf(start(pull, tree, () => {}, dead).extract());
    expect(isHostFaultError(error)).to.equal(true);
  });
});

describe('layers that nobody has', () => {
  const rig = usePullRig();

  it('in the packing that was resolved are taken in another one, from a replica that has it', async () => {
    const packed = repackage(image);
    const missing = image.layers.map(({ digest }) => layers.missing({ object: digest }));
    const first = await rig.registry({ images: { 'team/app:1': image }, faults: missing });
    const second = await rig.registry({ images: { 'team/app:1': packed } });
    const puller = rig.puller({
      registries: [`${first.host}/team`, `${second.host}/team`],
      platform: 'linux/amd64',
    });
    const report = await puller.pullWithFailover(`${first.host}/team/app:1`);
    await expectWhole(rig.engine(), report.image, packed);
    expect(puller.heard.filter(({ type }) => type === 'replica:repackaged')).to.have.length(1);
    expect(report.digest).to.equal(packed.digest);
    expect(report.imageId).to.equal(image.config.digest);
  });

  it('of an index that the first registry lacks still come from the first', async () => {
    const multi = seededImage({ platforms: ['linux/amd64', 'linux/arm64'], bytes: 3_000, seed: 'layout route' });
    const first = await rig.registry({ images: { 'team/app:1': multi } });
    first.removeDigest(multi.digest);
    const second = await rig.registry({ images: { 'team/app:1': multi } });
    const puller = rig.puller({
      registries: [`${first.host}/team`, `${second.host}/team`],
      platform: 'linux/amd64',
    });
    const report = await puller.pullWithFailover(`${first.host}/team/app:1`);
    await expectWhole(rig.engine(), report.image, multi);
    expect(second.requests.map(({ kind }) => kind)).to.deep.equal(['manifest']);
    const objects = new Map(report.served.map(({ registry, objects: served }) => [registry, served]));
    expect(objects.get(`${first.host}/team`)).to.equal(3);
  });
});

describe('one image for several engines of one puller at once', () => {
  const rig = usePullRig();

  it('is fetched once, also where two of them are the same directory', async () => {
    const registry = await rig.registry({
      images: { 'team/app:1': image },
      bandwidth: { totalBytesPerSecond: 2_000_000 },
    });
    const puller = rig.puller({ registries: [`${registry.host}/team`], platform: 'linux/amd64' });
    const again = ociLayout(rig.engine('one').directory, { id: 'the same directory' });
    const engines = [rig.engine('one'), again, rig.engine('other')];
    try {
      const reports = await Promise.all(
        engines.map((engine) => puller.pullWithFailover(`${registry.host}/team/app:1`, { engine })),
      );
      for (const [index, engine] of engines.entries()) {
        await expectWhole(engine, reports[index]?.image ?? '', image);
        // The index's own file stays; no part of a blob does.
        expect(await leftovers(engine)).to.deep.equal(['index.holder']);
      }
    } finally {
      await again.close();
    }
    // The config may be there before the next engine asks for it; layers take longer than that.
    const fetched = registry.requests.flatMap(({ kind, object }) =>
      kind === 'blob' && object !== image.config.digest ? [object] : [],
    );
    expect(fetched).to.have.members(image.layers.map(({ digest }) => digest));
  });

  it('is fetched by each whose limits differ', async () => {
    const registry = await rig.registry({ images: { 'team/app:1': image } });
    const puller = rig.puller({ registries: [`${registry.host}/team`], platform: 'linux/amd64' });
    await Promise.all(
      [20_000, 21_000].map((stallMs) =>
        puller.pullWithFailover(`${registry.host}/team/app:1`, {
          engine: rig.engine(`stall ${stallMs}`),
          timeouts: { layers: { stallMs } },
        }),
      ),
    );
    expect(registry.requests.filter(({ kind }) => kind === 'blob')).to.have.length(2 * image.blobs.length);
  });
});
