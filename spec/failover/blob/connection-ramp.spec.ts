import { expect } from 'chai';
import { ConnectionRamp } from '../../../lib/failover/blob/connection-ramp.js';
import { fetchBlob } from '../../../lib/failover/blob/fetch-blob.js';
import { type Bandwidth, seededImage } from '../../../lib/testing/index.js';
import { type FakeTime, startFakeTime } from '../../support/fake-time.js';
import { closeHeartRigs, openHeartRig, untilQuiet } from '../support/heart-rig.js';
import { memorySink } from '../support/memory-sink.js';

/** The loop has to be seen waiting, as it is while a link is slow. */
const { setTimeout: realSetTimeout } = globalThis;

const megabyte = 1_000_000;
const stepMs = 50;
const most = 8;
/** The rest of a blob that is never at its end; each call is another blob. */
const plenty = (): (() => number) => () => 1_000 * megabyte;

describe('how many connections a blob is fetched over', () => {
  let time: FakeTime;

  beforeEach(() => {
    time = startFakeTime();
  });
  afterEach(() => time.restore());

  interface Drive {
    /** Bytes per second over so many connections of all blobs. */
    readonly link: (connections: number) => number;
    readonly blobs?: number;
    /** Of the time, in which bytes are waited for. */
    readonly waiting?: number;
  }

  /** Lets bytes arrive for so long; the connections that each blob had, whenever that changed. */
  async function drive(ramp: ConnectionRamp, ms: number, { link, blobs = 1, waiting = 1 }: Drive): Promise<number[]> {
    const seen = [ramp.connections];
    for (let passedMs = 0; passedMs < ms; passedMs += stepMs) {
      await new Promise((resolve) => realSetTimeout(resolve, 2));
      await time.passMs(stepMs);
      ramp.waited(stepMs * waiting * blobs);
      ramp.arrived((link(ramp.connections * blobs) * stepMs) / 1_000);
      if (seen.at(-1) !== ramp.connections) seen.push(ramp.connections);
    }
    return seen;
  }

  const long = (connections: number): number => connections * megabyte;
  const shared =
    (limit: number) =>
    (connections: number): number =>
      Math.min(limit * megabyte, long(connections));
  const fast = (): number => 10 * megabyte;

  it('begins with one, and doubles as long as that brings more', async () => {
    const ramp = new ConnectionRamp(most);
    ramp.join(plenty());
    expect(await drive(ramp, 4_000, { link: long })).to.deep.equal([1, 2, 4, 8]);
  }).timeout(30_000);

  it('goes back when twice as many bring no more, and tries again ever later', async () => {
    const ramp = new ConnectionRamp(most);
    ramp.join(plenty());
    const seen = await drive(ramp, 40_000, { link: fast });
    expect(new Set(seen)).to.deep.equal(new Set([1, 2]));
    // After 2, 4, 8 and 16 s.
    expect(seen.filter((connections) => connections === 2).length).to.be.within(4, 5);
  }).timeout(30_000);

  it('stays with as many as fill the link', async () => {
    const ramp = new ConnectionRamp(most);
    ramp.join(plenty());
    expect(await drive(ramp, 3_000, { link: shared(4) })).to.deep.equal([1, 2, 4, 8, 4]);
  }).timeout(30_000);

  it('is no more than the most, also where that is no power of two', async () => {
    const ramp = new ConnectionRamp(5);
    ramp.join(plenty());
    expect(await drive(ramp, 4_000, { link: long })).to.deep.equal([1, 2, 4, 5]);
    const one = new ConnectionRamp(1);
    one.join(plenty());
    expect(await drive(one, 2_000, { link: long })).to.deep.equal([1]);
  }).timeout(30_000);

  it('halves after a while, where half of them do as well, and comes back where they do not', async () => {
    const ramp = new ConnectionRamp(most);
    ramp.join(plenty());
    await drive(ramp, 4_000, { link: long });
    expect(ramp.connections).to.equal(most);
    const stillLong = await drive(ramp, 20_000, { link: long });
    expect(stillLong).to.deep.equal([8, 4, 8]);
    const shrunk = await drive(ramp, 20_000, { link: shared(2) });
    expect(shrunk.slice(0, 2)).to.deep.equal([8, 4]);
    expect(ramp.connections).to.be.at.most(4);
  }).timeout(30_000);

  it('is more for each when fewer blobs share a link that so many fill', async () => {
    const ramp = new ConnectionRamp(most);
    const leave = [ramp.join(plenty()), ramp.join(plenty()), ramp.join(plenty()), ramp.join(plenty())];
    await drive(ramp, 3_000, { link: shared(4), blobs: 4 });
    expect(ramp.connections).to.be.at.most(2);
    for (const left of leave.slice(1)) left();
    // Sooner than after the pause that a try of no use is followed by.
    expect(await drive(ramp, 1_200, { link: shared(4) })).to.include(4);
  }).timeout(30_000);

  it('is one again after half a minute without a byte', async () => {
    const ramp = new ConnectionRamp(most);
    ramp.join(plenty());
    await drive(ramp, 4_000, { link: long });
    await time.passMs(31_000);
    ramp.arrived(1);
    expect(ramp.connections).to.equal(1);
  }).timeout(30_000);

  it('stays what it is while the reader is what is slow', async () => {
    const ramp = new ConnectionRamp(most);
    ramp.join(plenty());
    expect(await drive(ramp, 4_000, { link: long, waiting: 0.3 })).to.deep.equal([1]);
  }).timeout(30_000);

  it('stays what it is while this process is what is slow', async () => {
    const ramp = new ConnectionRamp(most);
    ramp.join(plenty());
    for (let passedMs = 0; passedMs < 4_000; passedMs += stepMs) {
      const untilMs = performance.now() + 2;
      while (performance.now() < untilMs);
      await time.passMs(stepMs);
      ramp.waited(stepMs);
      ramp.arrived((long(ramp.connections) * stepMs) / 1_000);
      expect(ramp.connections).to.equal(1);
    }
  }).timeout(30_000);

  it('stays what it is where the rest is there before more could help', async () => {
    const ramp = new ConnectionRamp(most);
    ramp.join(() => megabyte / 2);
    expect(await drive(ramp, 4_000, { link: long })).to.deep.equal([1]);
  }).timeout(30_000);

  it('is what it was before a try that other blobs have spoiled', async () => {
    const ramp = new ConnectionRamp(most);
    ramp.join(plenty());
    while (ramp.connections === 1) await drive(ramp, stepMs, { link: long });
    const leave = ramp.join(plenty());
    expect(ramp.connections).to.equal(1);
    leave();
    // Leaving twice is leaving once.
    leave();
    expect(await drive(ramp, 4_000, { link: long })).to.deep.equal([1, 2, 4, 8]);
  }).timeout(30_000);
});

describe('a blob over a shaped link', () => {
  afterEach(closeHeartRigs);

  async function fetch(bandwidth: Bandwidth, bytes: number): Promise<{ readonly ms: number; readonly most: number }> {
    const image = seededImage({ bytes, seed: 'shaped' });
    const [layer] = image.layers;
    if (layer === undefined) throw new Error('there is a layer');
    const rig = await openHeartRig({
      image,
      registries: [{ bandwidth }],
      transfer: { rangeBytes: 65_536 },
      timeouts: { layers: { windowMs: 15_000 } },
    });
    const pull = rig.openPull();
    const sink = memorySink();
    const startedAt = performance.now();
    await fetchBlob(pull.context, { digest: layer.digest, size: layer.sizeBytes }, sink);
    const ms = performance.now() - startedAt;
    expect(sink.content.equals(Buffer.concat([...layer.read()]))).to.equal(true);
    await untilQuiet(rig.doubles);
    expect(pull.attempts).to.deep.equal([]);
    return { ms, most: rig.double('A').connections };
  }

  it('that is slow per connection is there long before one connection would have brought it', async () => {
    const { ms, most: connections } = await fetch({ perConnectionBytesPerSecond: megabyte }, 5 * megabyte);
    expect(connections).to.be.above(2);
    expect(ms).to.be.below(4_000);
  });

  it('that is slow as a whole takes no more connections than a try of two', async () => {
    const { ms, most: connections } = await fetch({ totalBytesPerSecond: 2 * megabyte }, 5 * megabyte);
    // Each try ends by giving a connection up.
    expect(connections).to.be.at.most(4);
    expect(ms).to.be.below(4_500);
  });
});
