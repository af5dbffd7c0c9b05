import { expect } from 'chai';
import { isPullExhaustedError } from '../../lib/errors/pull-exhausted-error.js';
import { layers, seededImage } from '../../lib/testing/index.js';
import { until } from '../support/until.js';
import { bodyBytes } from './support/raw-client.js';
import {
  closeRelayRigs,
  contentOf,
  expectBytes,
  openRelayRig,
  repository,
  tag,
  untilHeldBack,
} from './support/relay-rig.js';

const image = seededImage({ bytes: [300_000, 100_000], seed: 'relay' });
const [layer] = image.layers;
if (layer === undefined) throw new Error('the image has a layer');
const content = contentOf(layer);
const size = content.length;
const mid = Math.floor(size / 2);
const offsets = [0, 1, mid, size - 2, size - 1];

describe('a blob through the relay', () => {
  afterEach(closeRelayRigs);

  it('arrives whole, with its length and digest, and is told of once', async () => {
    const rig = await openRelayRig({ image, registries: [{}] });
    const { serving, blobs } = await rig.serve();
    for (let time = 0; time < 2; time += 1) {
      const answer = await rig.askBlob(layer.digest);
      expect(answer.status).to.equal(200);
      expect(answer.headers['content-length']).to.equal(String(size));
      expect(answer.headers['docker-content-digest']).to.equal(layer.digest);
      expect(answer.headers['accept-ranges']).to.equal('bytes');
      expectBytes(answer, content);
    }
    await until(() => serving.activity.open === 0);
    expect(blobs).to.deep.equal([layer.digest]);
    expect([...serving.activity.delivered]).to.deep.equal([layer.digest]);
    expect([...serving.activity.spoiled]).to.deep.equal([]);
  });

  for (const from of offsets) {
    it(`is answered from byte ${from} with its exact range`, async () => {
      const rig = await openRelayRig({ image, registries: [{}] });
      await rig.serve();
      const answer = await rig.askBlob(layer.digest, { headers: { range: `bytes=${from}-` } });
      expect(answer.status).to.equal(206);
      expect(answer.headers['content-range']).to.equal(`bytes ${from}-${size - 1}/${size}`);
      expect(answer.headers['content-length']).to.equal(String(size - from));
      expectBytes(answer, content.subarray(from));
    });

    it(`comes from the next registry when the first one is reset at byte ${from}`, async () => {
      const rig = await openRelayRig({ image, registries: [[layers.reset({ afterBytes: from })], {}] });
      const { serving } = await rig.serve();
      expectBytes(await rig.askBlob(layer.digest), content);
      expect([...serving.activity.delivered]).to.deep.equal([layer.digest]);
    });
  }

  it('is unread only while bytes wait that the daemon does not take', async () => {
    const large = seededImage({ bytes: [40_000_000], seed: 'relay unread' });
    const [blob] = large.layers;
    if (blob === undefined) throw new Error('the image has a layer');
    const stall = layers.stall({ object: blob.digest, afterBytes: 39_000_000 });
    const rig = await openRelayRig({
      image: large,
      registries: [[stall]],
      timeouts: { layers: { firstByteMs: 600_000, stallMs: 600_000, minBytesPerSecond: 1 } },
    });
    const { activity } = (await rig.serve()).serving;
    const client = await rig.openBlob(blob.digest);
    expect(activity.unreadSinceMs).to.equal(null);
    client.socket.pause();
    await untilHeldBack(rig, client);
    expect(activity.unreadSinceMs).to.be.a('number');
    client.socket.resume();
    await until(() => bodyBytes(client) >= 39_000_000, 'it has what the registry gave');
    expect([activity.unreadSinceMs, activity.open]).to.deep.equal([null, 1]);
    client.leave();
  });

  it('is 404 when nobody has it, and the pull is told why', async () => {
    const rig = await openRelayRig({ image, registries: [[layers.missing()], [layers.missing()]] });
    const { serving, failure } = await rig.serve();
    const answer = await rig.askBlob(layer.digest);
    expect(answer.status).to.equal(404);
    expect(isPullExhaustedError(await serving.failed)).to.equal(true);
    expect(isPullExhaustedError(failure())).to.equal(true);
  });

  it('is known by tag and digest', async () => {
    const rig = await openRelayRig({ image, registries: [{}] });
    await rig.serve();
    for (const reference of [tag, image.digest]) {
      const answer = await rig.ask(`/v2/${repository}/manifests/${reference}`);
      expect(answer.headers['docker-content-digest']).to.equal(image.digest);
      expectBytes(answer, Buffer.from(image.top.bytes));
    }
  });
});
