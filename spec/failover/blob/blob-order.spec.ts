import { expect } from 'chai';
import { fetchBlob } from '../../../lib/failover/blob/fetch-blob.js';
import { layers, seededImage, type TestBlob } from '../../../lib/testing/index.js';
import { blobRequests } from '../support/blob-fetch.js';
import { closeHeartRigs, type HeartPull, openHeartRig, untilQuiet } from '../support/heart-rig.js';
import { memorySink } from '../support/memory-sink.js';
import { until } from '../../support/until.js';

const image = seededImage({ layers: 4, bytes: 100_000, seed: 'order' });

async function fetchOf(pull: HeartPull, blob: TestBlob | undefined): Promise<void> {
  if (blob === undefined) throw new Error('the image has fewer layers');
  const sink = memorySink();
  await fetchBlob(pull.context, { digest: blob.digest, size: blob.sizeBytes }, sink);
  expect(sink.content.equals(Buffer.concat([...blob.read()]))).to.equal(true);
}

describe('the blobs of one pull', () => {
  afterEach(closeHeartRigs);

  it('go to the next registry first once one has failed, and pay its limit no more', async () => {
    const rig = await openHeartRig({ image, registries: [[layers.stall({ afterBytes: 1_000, times: 1 })], []] });
    const pull = rig.openPull();
    for (const layer of image.layers) await fetchOf(pull, layer);
    expect(blobRequests(rig, 'A')).to.have.length(1);
    expect(blobRequests(rig, 'B')).to.have.length(4);
    expect(pull.attempts).to.have.length(1);
    expect(pull.of('failedOver')).to.have.length(1);
  });

  it('come back to a registry that failed when those after it fail too', async () => {
    const rig = await openHeartRig({
      image,
      registries: [[layers.status(500, { times: 1 })], [layers.status(500, { after: 1 })]],
    });
    const pull = rig.openPull();
    await fetchOf(pull, image.layers[0]);
    await fetchOf(pull, image.layers[1]);
    expect(pull.attempts.map((attempt) => attempt.slice(0, 1))).to.deep.equal(['A', 'B']);
    expect(pull.of('failedOver').map(([{ from, to }]) => rig.nameOf(from) + rig.nameOf(to))).to.deep.equal([
      'AB',
      'BA',
    ]);
  });

  it('ask a registry that lacks one of them for the others', async () => {
    const [first] = image.layers;
    const rig = await openHeartRig({
      image,
      registries: [[layers.missing({ object: first?.digest ?? '' })], []],
    });
    const pull = rig.openPull();
    for (const layer of image.layers) await fetchOf(pull, layer);
    expect(blobRequests(rig, 'B')).to.have.length(1);
    expect(pull.ill).to.deep.equal([]);
  });

  it('say each way of failing over once, however many of them went it', async () => {
    const rig = await openHeartRig({ image, registries: [[layers.stall({ afterBytes: 50_000 })], []] });
    const pull = rig.openPull();
    await Promise.all(image.layers.map((layer) => fetchOf(pull, layer)));
    expect(pull.of('failedOver')).to.have.length(1);
    expect(pull.ill).to.deep.equal(['A layers']);
    expect(blobRequests(rig, 'B').map(({ range }) => range?.start)).to.deep.equal([50_000, 50_000, 50_000, 50_000]);
  });

  it('leave our own queue for a registry that has failed another of them', async () => {
    const rig = await openHeartRig({
      image,
      registries: [{ faults: [layers.stall({ afterBytes: 1_000 })], options: { maxConnections: 1 } }, []],
    });
    const pull = rig.openPull();
    await Promise.all(image.layers.map((layer) => fetchOf(pull, layer)));
    // Only the one that held the connection failed; the others never got to ask.
    expect(blobRequests(rig, 'A')).to.have.length(1);
    expect(pull.attempts).to.deep.equal(['A registry-storage/stalled ill']);
    expect(blobRequests(rig, 'B')).to.have.length(4);
  });

  it('stay in the queue of the last registry left', async () => {
    const rig = await openHeartRig({
      image,
      registries: [{ faults: [layers.truncate({ afterBytes: 1_000, times: 1 })], options: { maxConnections: 1 } }],
    });
    const pull = rig.openPull();
    await Promise.all(image.layers.map((layer) => fetchOf(pull, layer)));
    expect(pull.attempts).to.have.length(1);
  });

  it('that wait in our own queue longer than every limit blame nobody', async () => {
    const rig = await openHeartRig({
      image,
      registries: [{ bandwidth: { totalBytesPerSecond: 150_000 }, options: { maxConnections: 1 } }, []],
      timeouts: { layers: { firstByteMs: 300, stallMs: 300, windowMs: 1_000, minBytesPerSecond: 1_000 } },
    });
    const pull = rig.openPull();
    await Promise.all(image.layers.map((layer) => fetchOf(pull, layer)));
    expect(pull.attempts).to.deep.equal([]);
    expect(rig.double('B').connections).to.equal(0);
  });

  it('know nothing of another pull', async () => {
    const rig = await openHeartRig({ image, registries: [[layers.status(500, { times: 1 })], []] });
    const [one, other] = [rig.openPull(), rig.openPull()];
    await fetchOf(one, image.layers[0]);
    await fetchOf(other, image.layers[0]);
    expect(other.attempts).to.deep.equal([]);
    expect(blobRequests(rig, 'B')).to.have.length(1);
  });

  it('are moved by a circuit that opens while the pull runs', async () => {
    const rig = await openHeartRig({ image, registries: [[], []] });
    const pull = rig.openPull();
    pull.sources.demote(rig.candidates[0]?.registry ?? '', 'layers');
    await fetchOf(pull, image.layers[0]);
    expect(rig.double('A').requests).to.deep.equal([]);
    expect(pull.attempts).to.deep.equal([]);
  });

  it('go over one connection when they go one after another', async () => {
    const rig = await openHeartRig({ image, registries: [[]] });
    const pull = rig.openPull();
    for (const layer of image.layers) await fetchOf(pull, layer);
    expect(rig.double('A').connections).to.equal(1);
  });

  it('leave nothing open', async () => {
    const rig = await openHeartRig({ image, registries: [[layers.stall({ afterBytes: 50_000 })], []] });
    const pull = rig.openPull();
    await Promise.all(image.layers.map((layer) => fetchOf(pull, layer)));
    await untilQuiet(rig.doubles);
    // Idle ones are kept for the next pull; those that failed are not.
    await until(() => rig.double('A').openConnections === 0, 'the stalled connections are closed');
  });
});
