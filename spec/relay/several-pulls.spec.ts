import { expect } from 'chai';
import { layers, seededImage } from '../../lib/testing/index.js';
import { untilQuiet } from '../failover/support/heart-rig.js';
import { failureOf } from '../support/failure-of.js';
import { until } from '../support/until.js';
import { bodyBytes, openRawClient, type RawClient } from './support/raw-client.js';
import {
  closeRelayRigs,
  contentOf,
  expectBytes,
  openRelayRig,
  type RelayRig,
  repository,
  type ServedPull,
  untilHeldBack,
} from './support/relay-rig.js';

const image = seededImage({ bytes: [300_000], seed: 'several pulls' });
const [layer] = image.layers;
if (layer === undefined) throw new Error('the image has a layer');
const object = layer.digest;
const right = contentOf(layer);
const size = right.length;
const mid = size / 2;
const other = repository.replace('team/app', 'team/other');
const patient = { layers: { firstByteMs: 600_000, stallMs: 600_000, minBytesPerSecond: 1 } };
const stallOnce = layers.stall({ object, afterBytes: mid, times: 1 });

/** Asks for the blob, of which half is there before its registry stalls. */
async function askForHalf(rig: RelayRig): Promise<RawClient> {
  const client = await rig.openBlob(object);
  await until(() => bodyBytes(client) === mid, 'half of the blob is given');
  return client;
}

function bodyOf(client: RawClient): Buffer {
  return Buffer.from(client.heard().slice(-bodyBytes(client)), 'latin1');
}

describe('several pulls of one daemon', () => {
  afterEach(closeRelayRigs);

  for (const [how, end] of [
    ['is stopped', ({ serving }: ServedPull) => serving.stop()],
    ['is aborted by its caller', async ({ pull }: ServedPull) => pull.abort(new Error('enough'))],
  ] as const) {
    for (const [where, secondRepository] of [
      ['the same repository', repository],
      ['another repository', other],
    ] as const) {
      it(`share an answer, which goes on for the one in ${where} when the other ${how}`, async () => {
        const rig = await openRelayRig({ image, registries: [[stallOnce]], timeouts: patient });
        const first = await rig.serve();
        const second = await rig.serve(image, { repository: secondRepository, shareKey: 'second' });
        const client = await askForHalf(rig);
        await end(first);
        await until(() => bodyBytes(client) === size);
        expect(bodyOf(client).equals(right)).to.equal(true);
        client.leave();
        await until(() => second.serving.activity.open === 0);
        expect(second.blobs).to.deep.equal([object]);
        expect([first.failure(), second.failure()]).to.deep.equal([undefined, undefined]);
        await untilQuiet(rig.heart.doubles);
      });
    }
  }

  it('share an answer, which goes on with the registries of the one that can have the blob', async () => {
    const lacking = await openRelayRig({ image, registries: [[layers.missing({ object })]] });
    const having = await openRelayRig({ image, registries: [{}] });
    const first = await having.serve(image, { context: () => lacking.heart.openPull().context });
    const second = await having.serve(image, { shareKey: 'second' });
    expectBytes(await having.askBlob(object), right);
    await until(() => second.blobs.length === 1);
    expect(first.failure()).to.be.instanceOf(Error);
    expect(second.failure()).to.equal(undefined);
  });

  it('are all told when none of them can have the blob', async () => {
    const rig = await openRelayRig({ image, registries: [[layers.missing({ object })]] });
    const first = await rig.serve();
    const second = await rig.serve(image, { shareKey: 'second' });
    expect((await rig.askBlob(object)).status).to.equal(404);
    await until(() => first.failure() !== undefined && second.failure() !== undefined);
  });

  it('know that the one which left had brought wrong bytes', async () => {
    const lying = await openRelayRig({
      image,
      registries: [[layers.wrongBytes({ object, atByte: 7 }), stallOnce]],
      timeouts: patient,
    });
    const rig = await openRelayRig({ image, registries: [{}] });
    const first = await rig.serve(image, { context: () => lying.heart.openPull().context });
    const second = await rig.serve(image, { shareKey: 'second' });
    const client = await askForHalf(rig);
    await first.serving.stop();
    await until(() => bodyBytes(client) === size);
    expect(bodyOf(client).equals(right)).to.equal(false);
    client.leave();
    await until(() => second.serving.activity.open === 0);
    expect([...second.serving.activity.spoiled]).to.deep.equal([object]);
    expect(second.blobs).to.deep.equal([]);
  });

  it('do not wait for each other: who is stopped is not held by an answer that goes on', async () => {
    const stallTwice = layers.stall({ object, afterBytes: mid, times: 2 });
    const rig = await openRelayRig({ image, registries: [[stallTwice]], timeouts: patient });
    const first = await rig.serve();
    const second = await rig.serve(image, { shareKey: 'second' });
    const client = await askForHalf(rig);
    await first.serving.stop();
    expect(second.serving.activity.open).to.equal(1);
    await second.serving.stop();
    await until(client.isClosed);
    expect(bodyBytes(client)).to.equal(mid);
  });

  it('fetch a blob once that is asked for twice at the same time', async () => {
    const rig = await openRelayRig({ image, registries: [{ bandwidth: { totalBytesPerSecond: 1_000_000 } }] });
    const { blobs } = await rig.serve();
    const answers = await Promise.all([
      rig.askBlob(object),
      rig.askBlob(object),
      rig.askBlob(object, { headers: { range: `bytes=${mid}-` } }),
      rig.askBlob(object, { headers: { range: `bytes=${size - 1}-` } }),
      rig.askBlob(object, { headers: { range: 'bytes=0-9' } }),
    ]);
    for (const [index, from, to] of [
      [0, 0, size],
      [1, 0, size],
      [2, mid, size],
      [3, size - 1, size],
      [4, 0, 10],
    ] as const) {
      const answer = answers[index];
      expect(answer?.body.equals(right.subarray(from, to)), `answer ${index}`).to.equal(true);
    }
    expect(rig.heart.double('A').requests.filter((one) => one.object === object)).to.have.length(1);
    await until(() => blobs.length === 1);
  });

  it('are told of a blob once each, whichever of them it was for', async () => {
    const rig = await openRelayRig({ image, registries: [{}] });
    const pulls = await Promise.all([rig.serve(), rig.serve(image, { tag: '2' })]);
    await rig.askBlob(object);
    await rig.askBlob(object);
    for (const { serving } of pulls) await until(() => serving.activity.open === 0);
    expect(pulls.map(({ blobs }) => blobs)).to.deep.equal([[object], [object]]);
  });
});

describe('an image that is stopped', () => {
  afterEach(closeRelayRigs);

  it('is not served any more', async () => {
    const rig = await openRelayRig({ image, registries: [{}] });
    const { serving } = await rig.serve();
    await serving.stop();
    for (const path of [`blobs/${object}`, `manifests/${image.digest}`, 'manifests/1']) {
      expect((await rig.ask(`/v2/${repository}/${path}`)).status).to.equal(404);
    }
    await serving.stop();
  });

  it('is 404 where an answer was awaited and nothing was said yet', async () => {
    const rig = await openRelayRig({ image, registries: [[layers.stall({ object })]], timeouts: patient });
    const { serving, failure } = await rig.serve();
    const asking = rig.askBlob(object);
    await until(() => serving.activity.open === 1 && rig.heart.double('A').bytesSent > 0);
    await serving.stop();
    expect((await asking).status).to.equal(404);
    await untilQuiet(rig.heart.doubles);
    expect(failure()).to.equal(undefined);
  });

  it('is cut off where an answer was under way', async () => {
    const rig = await openRelayRig({ image, registries: [[stallOnce]], timeouts: patient });
    const { serving } = await rig.serve();
    const client = await askForHalf(rig);
    await serving.stop();
    await until(client.isClosed);
    expect(bodyBytes(client)).to.equal(mid);
    await untilQuiet(rig.heart.doubles);
  });

  it('is cut off at once, also when the daemon is not reading', async () => {
    const large = seededImage({ bytes: [40_000_000], seed: 'several pulls, large' });
    const rig = await openRelayRig({ image: large, registries: [{}] });
    const { serving } = await rig.serve();
    const client = await rig.openBlob(large.layers[0]?.digest ?? object);
    client.socket.pause();
    await untilHeldBack(rig, client);
    await serving.stop();
    client.socket.resume();
    await until(client.isClosed);
    await untilQuiet(rig.heart.doubles);
  });

  it('is cut off at once also when another one was to go on, and is stopped too', async () => {
    const large = seededImage({ bytes: [40_000_000], seed: 'several pulls, large' });
    const rig = await openRelayRig({ image: large, registries: [{}] });
    const pulls = await Promise.all([
      rig.serve(),
      rig.serve(large, { shareKey: 'second' }),
      rig.serve(large, { shareKey: 'third', repository: other }),
    ]);
    const client = await rig.openBlob(large.layers[0]?.digest ?? object);
    client.socket.pause();
    await untilHeldBack(rig, client);
    for (const { serving } of pulls) await serving.stop();
    for (const { serving } of pulls) await until(() => serving.activity.open === 0);
    client.socket.resume();
    await until(client.isClosed);
    await untilQuiet(rig.heart.doubles);
  });

  it('refuses what has begun when its pull was over before', async () => {
    const rig = await openRelayRig({ image, registries: [{}] });
    const { serving } = await rig.serve(image, {
      context: (context) => ({ ...context, signal: AbortSignal.abort(new Error('over')) }),
    });
    expect((await rig.askBlob(object)).status).to.equal(404);
    await serving.stop();
  });
});

describe('a relay that is closed', () => {
  afterEach(closeRelayRigs);

  it('ends its answers, its connections and its server, and takes nothing more', async () => {
    const rig = await openRelayRig({ image, registries: [[stallOnce]], timeouts: patient });
    const served = await rig.serve();
    const idle = await openRawClient(rig.relay.address);
    const silent = await openRawClient(rig.relay.address);
    idle.say(`GET /v2/ HTTP/1.1\r\nHost: ${rig.relay.address}\r\n\r\n`);
    await until(() => idle.heard().includes('401'));
    const client = await askForHalf(rig);
    await Promise.all([rig.relay.close(), rig.relay.close()]);
    await until(() => client.isClosed() && idle.isClosed() && silent.isClosed());
    expect(bodyBytes(client)).to.equal(mid);
    expect(served.failure()).to.equal(undefined);
    expect(served.serving.activity.open).to.equal(0);
    expect(await failureOf(rig.ask('/v2/'))).to.be.instanceOf(Error);
    expect(await failureOf(rig.serve())).to.have.property('message', 'the relay is closed');
    await untilQuiet(rig.heart.doubles);
    await rig.relay[Symbol.asyncDispose]();
  });

  it('says why it cannot listen', async () => {
    const rig = await openRelayRig({ image, registries: [{}] });
    const port = Number(rig.relay.address.split(':')[1]);
    const taken = failureOf(openRelayRig({ registries: [{}], relay: { listen: { host: '127.0.0.1', port } } }));
    expect(await taken).to.have.property('code', 'EADDRINUSE');
  });
});
