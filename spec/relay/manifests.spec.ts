import { expect } from 'chai';
import { type Fault, layers, metadata, seededImage, type TestImage } from '../../lib/testing/index.js';
import type { Digest } from '../../lib/vocabulary/digest.js';
import { untilQuiet } from '../failover/support/heart-rig.js';
import { document, imageOf, ociIndexType } from '../failover/support/test-documents.js';
import { until } from '../support/until.js';
import type { PlainAnswer } from '../testing/plain-client.js';
import {
  closeRelayRigs,
  contentOf,
  expectBytes,
  openRelayRig,
  type RelayRig,
  repository,
  tag,
} from './support/relay-rig.js';

const single = seededImage({ bytes: 2_000, seed: 'manifests' });
const several = seededImage({
  bytes: 2_000,
  seed: 'manifests',
  platforms: ['linux/amd64', 'linux/arm64/v8', 'linux/s390x'],
  attestations: true,
});
const docker = seededImage({ bytes: 2_000, seed: 'manifests', platforms: ['linux/amd64'], mediaTypes: 'docker' });

/** What no manifest of the platform names: other platforms and attestations. */
function besides(image: TestImage): TestImage['documents'] {
  const wanted = image.manifests.find(({ platform }) => platform === 'linux/amd64');
  return image.documents.filter(({ digest }) => digest !== image.digest && digest !== wanted?.digest);
}

function manifestRequests(rig: RelayRig, digest: Digest): number {
  return rig.heart.doubles.flatMap(({ requests }) => requests).filter(({ object }) => object === digest).length;
}

const askManifest = (rig: RelayRig, reference: string, method: string = 'GET'): Promise<PlainAnswer> =>
  rig.ask(`/v2/${repository}/manifests/${reference}`, { method });

describe('a manifest through the relay', () => {
  afterEach(closeRelayRigs);

  for (const [what, image] of Object.entries({ single, several, docker })) {
    for (const [by, reference] of [
      ['tag', tag],
      ['digest', image.digest],
    ] as const) {
      for (const method of ['GET', 'HEAD']) {
        it(`is answered to ${method} by ${by} as it was published (${what})`, async () => {
          const rig = await openRelayRig({ image, registries: [{}] });
          const { serving } = await rig.serve();
          expect(serving.activity.begun).to.equal(false);
          const before = rig.heart.double('A').requests.length;
          const answer = await askManifest(rig, reference, method);
          expect(answer.status).to.equal(200);
          expect(answer.headers['content-type']).to.equal(image.mediaType);
          expect(answer.headers['content-length']).to.equal(String(image.top.bytes.length));
          expect(answer.headers['docker-content-digest']).to.equal(image.digest);
          expectBytes(answer, method === 'GET' ? Buffer.from(image.top.bytes) : Buffer.alloc(0));
          expect(serving.activity.begun).to.equal(true);
          // Everything was there before the daemon was called.
          expect(rig.heart.double('A').requests.length).to.equal(before);
        });
      }
    }
  }

  it('of the platform is there although only its index was asked for by tag', async () => {
    const rig = await openRelayRig({ image: several, registries: [{}] });
    const { tree } = await rig.serve();
    const answer = await askManifest(rig, tree.manifest.digest);
    expect(answer.headers['content-type']).to.equal(tree.manifest.mediaType);
    expectBytes(answer, Buffer.from(tree.manifest.bytes));
    expect(manifestRequests(rig, tree.manifest.digest)).to.equal(1);
  });

  it('of an attestation or another platform is fetched when it is asked for, once, and its blobs are served then', async () => {
    const rig = await openRelayRig({ image: several, registries: [{}] });
    const { serving, blobs } = await rig.serve();
    for (const extra of besides(several)) {
      expect(manifestRequests(rig, extra.digest)).to.equal(0);
      const answers = await Promise.all([
        askManifest(rig, extra.digest),
        askManifest(rig, extra.digest),
        askManifest(rig, extra.digest, 'HEAD'),
      ]);
      answers.push(await askManifest(rig, extra.digest));
      for (const answer of answers) {
        expect([answer.status, answer.headers['content-type']]).to.deep.equal([200, extra.mediaType]);
        expect(answer.headers['content-length']).to.equal(String(extra.bytes.length));
      }
      expectBytes(answers[0], Buffer.from(extra.bytes));
      expect(manifestRequests(rig, extra.digest)).to.equal(1);
    }
    for (const blob of several.blobs) expectBytes(await rig.askBlob(blob.digest), contentOf(blob));
    await until(() => blobs.length === several.blobs.length);
    expect([...serving.activity.missing]).to.deep.equal([]);
  });

  it('is 404 for a blob of an attestation that was not asked for', async () => {
    const rig = await openRelayRig({ image: several, registries: [{}] });
    const { tree } = await rig.serve();
    const own = new Set([tree.config, ...tree.layers].map(({ digest }) => digest));
    for (const { digest } of several.blobs.filter((blob) => !own.has(blob.digest))) {
      expect((await rig.askBlob(digest)).status).to.equal(404);
    }
  });

  it('of an attestation that nobody has is 404, and no failure of the image', async () => {
    const [attestation] = besides(several).toReversed();
    if (attestation === undefined) throw new Error('there is an attestation');
    const missing: Fault = metadata.missing({ object: attestation.digest });
    const rig = await openRelayRig({ image: several, registries: [[missing], [missing]] });
    const { serving, failure, tree } = await rig.serve();
    expect((await askManifest(rig, attestation.digest)).status).to.equal(404);
    expect([...serving.activity.missing]).to.deep.equal([attestation.digest]);
    for (const { digest } of [tree.config, ...tree.layers]) expect((await rig.askBlob(digest)).status).to.equal(200);
    expect(failure()).to.equal(undefined);
  });

  it('of an attestation whose blobs nobody has is no failure of the image', async () => {
    const [attestation] = besides(several).toReversed();
    const rig = await openRelayRig({ image: several, registries: [{}] });
    const { serving, failure, tree } = await rig.serve();
    await askManifest(rig, attestation?.digest ?? '');
    const own = new Set([tree.config, ...tree.layers].map(({ digest }) => digest));
    const extras = several.blobs.filter(({ digest }) => !own.has(digest));
    for (const { digest } of extras) rig.heart.double('A').removeDigest(digest);
    const answers = await Promise.all(extras.map(({ digest }) => rig.askBlob(digest)));
    expect(new Set(answers.map(({ status }) => status))).to.deep.equal(new Set([404]));
    expect(serving.activity.missing.size).to.be.greaterThan(0);
    expect(failure()).to.equal(undefined);
  });

  it('that an index only pretends to have is looked for a few times, and no more', async () => {
    const wanted = single.manifests[0];
    if (wanted === undefined) throw new Error('an image has a manifest');
    const invented = Array.from({ length: 40 }, (_, index) => `sha256:${String(index).padStart(64, '0')}` as Digest);
    const index = document(
      {
        schemaVersion: 2,
        mediaType: ociIndexType,
        manifests: [
          {
            mediaType: wanted.mediaType,
            digest: wanted.digest,
            size: wanted.bytes.length,
            platform: { os: 'linux', architecture: 'amd64' },
          },
          ...invented.map((digest) => ({
            mediaType: wanted.mediaType,
            digest,
            size: 1_000,
            platform: { os: 'unknown', architecture: 'unknown' },
          })),
        ],
      },
      ociIndexType,
    );
    const image = imageOf({ top: index, documents: [wanted], config: wanted.config, layers: wanted.layers });
    const rig = await openRelayRig({ image, registries: [{}] });
    await rig.serve();
    const before = rig.heart.double('A').requests.length;
    const answers = await Promise.all(invented.map((digest) => askManifest(rig, digest)));
    expect(new Set(answers.map(({ status }) => status))).to.deep.equal(new Set([404]));
    expect(rig.heart.double('A').requests.length - before).to.be.within(1, 16);
  });

  it('is not waited for any more when the image is stopped', async () => {
    const [extra] = besides(several);
    const stall = metadata.stall({ object: extra?.digest ?? '' });
    const rig = await openRelayRig({
      image: several,
      registries: [[stall]],
      timeouts: { metadata: { requestMs: 600_000, totalMs: 600_000 } },
    });
    const { serving } = await rig.serve();
    const asking = askManifest(rig, extra?.digest ?? '');
    await until(() => manifestRequests(rig, extra?.digest ?? ('' as Digest)) === 1);
    expect(serving.activity.open).to.equal(1);
    await serving.stop();
    expect((await asking).status).to.equal(404);
    await untilQuiet(rig.heart.doubles);
    expect([...serving.activity.missing]).to.deep.equal([]);
  });

  it('of a tag that was asked for twice, and moved in between, is the newer one', async () => {
    const rig = await openRelayRig({
      image: single,
      registries: [{ images: { 'team/app:1': single, 'team/app:2': several } }],
    });
    const first = await rig.serve(single);
    const second = await rig.serve(several);
    expect((await askManifest(rig, tag)).headers['docker-content-digest']).to.equal(several.digest);
    expect((await askManifest(rig, single.digest)).status).to.equal(200);
    await second.serving.stop();
    expect((await askManifest(rig, tag)).headers['docker-content-digest']).to.equal(single.digest);
    await first.serving.stop();
    expect((await askManifest(rig, tag)).status).to.equal(404);
  });

  it('is none of another repository', async () => {
    const rig = await openRelayRig({ image: single, registries: [{}] });
    await rig.serve(single, { repository: `${repository}/other` });
    for (const reference of [tag, single.digest]) expect((await askManifest(rig, reference)).status).to.equal(404);
  });

  it('has no referrers, neither by the API nor by the tag that stands for it', async () => {
    const rig = await openRelayRig({ image: several, registries: [{}] });
    await rig.serve();
    const before = rig.heart.double('A').requests.length;
    for (const path of [
      `referrers/${several.digest}`,
      `referrers/${several.digest}?artifactType=a/b`,
      `manifests/${several.digest.replace(':', '-')}`,
    ]) {
      const answer = await rig.ask(`/v2/${repository}/${path}`);
      expect([answer.status, answer.headers['content-type']]).to.deep.equal([404, 'application/json; charset=utf-8']);
      expect(JSON.parse(answer.body.toString())).to.have.nested.property('errors[0].code', 'MANIFEST_UNKNOWN');
    }
    expect(rig.heart.double('A').requests.length).to.equal(before);
  });
});

describe('a blob that needs no registry', () => {
  afterEach(closeRelayRigs);

  it('is answered from the manifest that embeds it, in parts too', async () => {
    const rig = await openRelayRig({ image: single, registries: [[layers.missing()]] });
    const [layer] = single.layers;
    if (layer === undefined) throw new Error('the image has a layer');
    const data = contentOf(layer);
    const { serving, blobs } = await rig.serve(single, {
      tree: (tree) => ({ ...tree, layers: tree.layers.map((one) => ({ ...one, data })) }),
    });
    expectBytes(await rig.askBlob(layer.digest), data);
    expectBytes(await rig.askBlob(layer.digest, { headers: { range: 'bytes=100-' } }), data.subarray(100));
    expectBytes(await rig.askBlob(layer.digest, { headers: { range: 'bytes=0-0' } }), data.subarray(0, 1));
    await until(() => serving.activity.open === 0);
    expect(blobs).to.deep.equal([layer.digest]);
  });

  it('is answered when it is empty', async () => {
    const empty = seededImage({ bytes: [0, 2_000], seed: 'empty layer' });
    const rig = await openRelayRig({ image: empty, registries: [[layers.missing()]] });
    const { serving, blobs } = await rig.serve();
    const digest = empty.layers[0]?.digest ?? empty.digest;
    const answer = await rig.askBlob(digest);
    expect([answer.status, answer.headers['content-length']]).to.deep.equal([200, '0']);
    expect((await rig.askBlob(digest, { headers: { range: 'bytes=0-' } })).status).to.equal(416);
    await until(() => serving.activity.open === 0);
    expect(blobs).to.deep.equal([digest]);
  });

  it('fails the pull when it cannot be empty', async () => {
    const rig = await openRelayRig({ image: single, registries: [{}] });
    const { serving } = await rig.serve(single, {
      tree: (tree) => ({ ...tree, layers: tree.layers.map((one) => ({ ...one, size: 0 })) }),
    });
    expect((await rig.askBlob(single.layers[0]?.digest ?? single.digest)).status).to.equal(404);
    expect(await serving.failed).to.have.property('name', 'UnsupportedImageError');
  });
});
