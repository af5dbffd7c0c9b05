import { expect } from 'chai';
import { isPullExhaustedError } from '../../lib/errors/pull-exhausted-error.js';
import { type Fault, layers, seededImage } from '../../lib/testing/index.js';
import { startFakeTime } from '../support/fake-time.js';
import { until } from '../support/until.js';
import type { PlainAnswer } from '../testing/plain-client.js';
import { bodyBytes } from './support/raw-client.js';
import { closeRelayRigs, contentOf, openRelayRig, type RelayRig, type ServedPull } from './support/relay-rig.js';

const image = seededImage({ bytes: [300_000], seed: 'wrong bytes' });
const [layer] = image.layers;
if (layer === undefined) throw new Error('the image has a layer');
const object = layer.digest;
const right = contentOf(layer);
const size = right.length;
const mid = size / 2;

interface Asked {
  readonly rig: RelayRig;
  readonly served: ServedPull;
  readonly answer: PlainAnswer;
}

async function askThrough(registries: readonly (readonly Fault[])[], range?: string): Promise<Asked> {
  const rig = await openRelayRig({ image, registries });
  const served = await rig.serve();
  const answer = await rig.askBlob(object, { headers: range === undefined ? {} : { range } });
  await until(() => served.serving.activity.open === 0);
  return { rig, served, answer };
}

/** The daemon got as many bytes as it was promised, and they are not the blob's: it refuses them by itself. */
function expectSpoiled({ served, answer }: Asked): void {
  expect([answer.end, answer.body.length]).to.deep.equal(['complete', size]);
  expect(answer.body.equals(right)).to.equal(false);
  expect([...served.serving.activity.spoiled]).to.deep.equal([object]);
  expect([...served.serving.activity.delivered]).to.deep.equal([]);
  expect(served.blobs).to.deep.equal([]);
}

function expectRight({ served, answer }: Asked): void {
  expect([answer.status, answer.end]).to.deep.equal([200, 'complete']);
  expect(answer.body.equals(right)).to.equal(true);
  expect([...served.serving.activity.spoiled]).to.deep.equal([]);
  expect(served.blobs).to.deep.equal([object]);
}

const wrong = (atByte: number): Fault => layers.wrongBytes({ object, atByte });
// Not a reset, which takes back what was not read yet.
const cut = (afterBytes: number): Fault => layers.truncate({ object, afterBytes });

describe('wrong bytes on their way to a daemon', () => {
  afterEach(closeRelayRigs);

  for (const at of [0, 1, mid]) {
    it(`spoil the answer when a registry lies alone, at byte ${at}`, async () => {
      const asked = await askThrough([[wrong(at)], []]);
      expectSpoiled(asked);
      expect(asked.served.pull.ill).to.deep.equal(['A layers']);
    });
  }

  it('are never given when they are the last: the next registry brings the right ones', async () => {
    const asked = await askThrough([[wrong(size - 1)], []]);
    expectRight(asked);
    expect(asked.served.pull.ill).to.deep.equal(['A layers']);
  });

  for (const given of [1, mid, size - 2, size - 1]) {
    for (const at of new Set([0, Math.floor(given / 2), given - 1])) {
      it(`at byte ${at} of the ${given} given spoil the answer, which is completed`, async () => {
        const asked = await askThrough([[wrong(at), cut(given)], []]);
        expectSpoiled(asked);
        const { body } = asked.answer;
        expect(body.subarray(0, at).equals(right.subarray(0, at))).to.equal(true);
        expect(body[at]).to.not.equal(right[at]);
        expect(asked.served.failure()).to.equal(undefined);
        expect(asked.served.pull.ill).to.include('A layers');
      });
    }
  }

  it('that come second are not the fault of the first: the daemon never notices', async () => {
    // A has the beginning only, B lies in its last byte, C is right.
    const asked = await askThrough([[cut(mid)], [wrong(size - 1)], []]);
    expectRight(asked);
    expect(asked.served.pull.ill).to.include('B layers');
  });

  it('spoil nothing that is asked for again', async () => {
    const liar = [
      layers.wrongBytes({ object, atByte: 0, times: 1 }),
      layers.reset({ object, afterBytes: mid, times: 1 }),
    ];
    const asked = await askThrough([liar, []]);
    expectSpoiled(asked);
    const again = await asked.rig.askBlob(object);
    expect(again.body.equals(right)).to.equal(true);
    await until(() => asked.served.blobs.length === 1);
    expect([...asked.served.serving.activity.spoiled]).to.deep.equal([object]);
  });

  for (const from of [0, 1, mid, size - 2, size - 1]) {
    it(`are known in a range from byte ${from}, and only there`, async () => {
      // Everything before the last byte is a lie at its beginning, as far as it is given.
      const asked = await askThrough([[wrong(from), cut(size - 1)], []], `bytes=${from}-`);
      const { answer, served } = asked;
      expect([answer.status, answer.end, answer.body.length]).to.deep.equal([206, 'complete', size - from]);
      const isSpoiled = from < size - 1;
      expect(answer.body.equals(right.subarray(from))).to.equal(!isSpoiled);
      expect([...served.serving.activity.spoiled]).to.deep.equal(isSpoiled ? [object] : []);
    });

    if (from > 0) {
      it(`before byte ${from} are none of a range that begins there`, async () => {
        const asked = await askThrough([[wrong(0), cut(size - 1)], []], `bytes=${from}-`);
        expect(asked.answer.body.equals(right.subarray(from))).to.equal(true);
        expect([...asked.served.serving.activity.spoiled]).to.deep.equal([]);
      });
    }
  }

  it('are completed with zeros when nobody has the right ones, and the pull is told', async () => {
    const onlyOnce = layers.missing({ object, after: 1 });
    const asked = await askThrough([[wrong(0), cut(mid)], [onlyOnce]]);
    expectSpoiled(asked);
    expect(isPullExhaustedError(asked.served.failure())).to.equal(true);
  });

  it('are cut off like any others when nothing speaks against them and nobody has the rest', async () => {
    const asked = await askThrough([[wrong(0), cut(mid)]]);
    expect(asked.answer.end).to.not.equal('complete');
    expect(asked.answer.body.length).to.equal(mid);
    expect([...asked.served.serving.activity.spoiled]).to.deep.equal([]);
    expect(isPullExhaustedError(asked.served.failure())).to.equal(true);
  });

  it('are completed before the pull that brought them is over', async () => {
    const stallsLater = layers.stall({ object, after: 1 });
    const rig = await openRelayRig({
      image,
      registries: [[wrong(0), cut(mid)], [stallsLater]],
      timeouts: { layers: { firstByteMs: 600_000, stallMs: 600_000, minBytesPerSecond: 1 } },
    });
    const { serving, failure } = await rig.serve();
    const asking = rig.askBlob(object);
    // The second request is after the mixture has turned out wrong.
    const asked = (): number => rig.heart.double('B').requests.filter((one) => one.object === object).length;
    await until(() => asked() === 2);
    await serving.stop();
    const answer = await asking;
    expect([answer.end, answer.body.length]).to.deep.equal(['complete', size]);
    expect(answer.body.equals(right)).to.equal(false);
    expect([...serving.activity.spoiled]).to.deep.equal([object]);
    expect(failure()).to.equal(undefined);
  });

  it('are completed only for a daemon that reads: one that does not is hung up on after a while', async () => {
    const large = seededImage({ bytes: [40_000_000], seed: 'wrong bytes, large' });
    const digest = large.layers[0]?.digest ?? object;
    const timeouts = { layers: { firstByteMs: 600_000, stallMs: 600_000, minBytesPerSecond: 1 } };
    const stallAt = (afterBytes: number): Fault => layers.stall({ object: digest, afterBytes });
    const time = startFakeTime();
    try {
      const rig = await openRelayRig({ image: large, registries: [[stallAt(500_000)]], timeouts });
      const more = await openRelayRig({ image: large, registries: [[stallAt(1_000_000)]], timeouts });
      const first = await rig.serve(large, { context: () => more.heart.openPull().context });
      const { serving } = await rig.serve(large, { shareKey: 'second' });
      const client = await rig.openBlob(digest);
      await until(() => bodyBytes(client) === 1_000_000);
      // The second has too little to tell whether what the first has given is right.
      await first.serving.stop();
      const { requests } = rig.heart.double('A');
      await until(() => requests.some((one) => one.object === digest && one.bytesSent === 500_000));
      client.socket.pause();
      let isStopped = false;
      const stopping = serving.stop().then(() => {
        isStopped = true;
      });
      await time.passMs(9_000);
      expect(isStopped).to.equal(false);
      await time.passMs(2_000);
      await stopping;
      expect([...serving.activity.spoiled]).to.deep.equal([digest]);
      client.leave();
    } finally {
      time.restore();
    }
  });

  it('are not waited for when the daemon has left', async () => {
    const stallsLater = layers.stall({ object, after: 1 });
    const rig = await openRelayRig({
      image,
      registries: [[wrong(0), cut(mid)], [stallsLater]],
      timeouts: { layers: { firstByteMs: 600_000, stallMs: 600_000, minBytesPerSecond: 1 } },
    });
    const { serving } = await rig.serve();
    const client = await rig.openBlob(object);
    const asked = (): number => rig.heart.double('B').requests.filter((one) => one.object === object).length;
    await until(() => asked() === 2);
    client.leave();
    await until(() => serving.activity.open === 0);
    await serving.stop();
    expect([...serving.activity.delivered]).to.deep.equal([]);
  });
});
