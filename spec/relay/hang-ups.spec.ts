import { expect } from 'chai';
import { layers, seededImage } from '../../lib/testing/index.js';
import { untilQuiet } from '../failover/support/heart-rig.js';
import { until } from '../support/until.js';
import { bodyBytes } from './support/raw-client.js';
import {
  closeRelayRigs,
  contentOf,
  expectBytes,
  openRelayRig,
  type RelayRig,
  type ServedPull,
  untilHeldBack,
} from './support/relay-rig.js';

const image = seededImage({ bytes: [300_000], seed: 'hang-ups' });
const [layer] = image.layers;
if (layer === undefined) throw new Error('the image has a layer');
const object = layer.digest;
const content = contentOf(layer);
const size = content.length;
/** No limit ends anything here: only the daemon's leaving can. */
const patient = { layers: { firstByteMs: 600_000, stallMs: 600_000, minBytesPerSecond: 1 } };

async function expectLetGo(rig: RelayRig, { serving, blobs, failure }: ServedPull): Promise<void> {
  await until(() => serving.activity.open === 0, 'no answer is under way');
  // No limit of ours and no fault of the registry's ends a request there.
  await untilQuiet(rig.heart.doubles);
  expect(blobs).to.deep.equal([]);
  expect([...serving.activity.delivered, ...serving.activity.spoiled]).to.deep.equal([]);
  expect(failure()).to.equal(undefined);
}

describe('a daemon that hangs up', () => {
  afterEach(closeRelayRigs);

  for (const at of [0, 1, size / 2, size - 2, size - 1]) {
    it(`after ${at} of ${size} bytes ends the fetch, and can ask again`, async () => {
      const stall = layers.stall({ object, afterBytes: at, times: 1 });
      const rig = await openRelayRig({ image, registries: [[stall]], timeouts: patient });
      const served = await rig.serve();
      const client = await rig.openBlob(object);
      await until(
        () =>
          at === 0 ? rig.heart.double('A').requests.some((one) => one.object === object) : bodyBytes(client) >= at,
        'the bytes are there',
      );
      expect(bodyBytes(client)).to.equal(at === 0 ? -1 : at);
      expect(served.serving.activity.open).to.equal(1);
      client.leave();
      await expectLetGo(rig, served);
      expectBytes(await rig.askBlob(object, { headers: { range: `bytes=${at}-` } }), content.subarray(at));
      await until(() => served.serving.activity.open === 0);
      expect(served.blobs).to.deep.equal([object]);
    });
  }

  it('in the part of a blob that comes before the range it asked for ends the fetch', async () => {
    const stall = layers.stall({ object, afterBytes: 1_000 });
    const rig = await openRelayRig({ image, registries: [[stall]], timeouts: patient });
    const served = await rig.serve();
    const client = await rig.openBlob(object, ['Range: bytes=5000-']);
    await until(() => (rig.heart.double('A').requests.findLast((one) => one.object === object)?.bytesSent ?? 0) > 0);
    client.leave();
    await expectLetGo(rig, served);
  });

  it('without having read what was sent ends the fetch', async () => {
    const large = seededImage({ bytes: [40_000_000], seed: 'hang-ups, large' });
    const rig = await openRelayRig({ image: large, registries: [{}], timeouts: patient });
    const { serving } = await rig.serve();
    const client = await rig.openBlob(large.layers[0]?.digest ?? object);
    client.socket.pause();
    await untilHeldBack(rig, client);
    expect(rig.heart.double('A').bytesSent).to.be.within(1, 39_000_000);
    expect(serving.activity.open).to.equal(1);
    client.leave();
    await until(() => serving.activity.open === 0);
    await untilQuiet(rig.heart.doubles);
  });

  it('is not missed by another that asks for the same blob at the same time', async () => {
    const drip = layers.drip({ object, afterBytes: 100_000, bytesPerSecond: 400_000 });
    const rig = await openRelayRig({ image, registries: [[drip]], timeouts: patient });
    const served = await rig.serve();
    const other = rig.askBlob(object);
    const client = await rig.openBlob(object);
    await until(() => bodyBytes(client) >= 100_000);
    expect(served.serving.activity.open).to.equal(2);
    client.leave();
    expectBytes(await other, content);
    expect(rig.heart.double('A').requests.filter((one) => one.object === object)).to.have.length(1);
  });

  for (const range of ['bytes=0-99', 'bytes=100-', 'bytes=-1', '']) {
    it(`after the whole answer to ${range === '' ? 'no range' : range} has lost nothing`, async () => {
      const rig = await openRelayRig({ image, registries: [{}] });
      const { serving } = await rig.serve();
      const headers = { connection: 'close', ...(range === '' ? {} : { range }) };
      expect((await rig.askBlob(object, { headers })).end).to.equal('complete');
      await until(() => serving.activity.open === 0);
      // Of a part before the end, it has to ask for the rest.
      expect([...serving.activity.delivered]).to.deep.equal(range === 'bytes=0-99' ? [] : [object]);
    });
  }
});
