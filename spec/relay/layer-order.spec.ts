import { expect } from 'chai';
import { monotonicMs } from '../../lib/clock/time.js';
import type { Descriptor } from '../../lib/image/descriptor.js';
import { digestOf } from '../../lib/image/digest.js';
import { LayerOrder } from '../../lib/relay/layer-order.js';
import type { Digest } from '../../lib/vocabulary/digest.js';
import { type FakeTime, startFakeTime } from '../support/fake-time.js';

const full = new Uint8Array(64 * 1024);
const part = full.subarray(1);
const never = new AbortController().signal;

const layer = (name: string): Descriptor => ({
  digest: digestOf(Buffer.from(name)),
  size: 1_000_000,
  mediaType: 'application/vnd.oci.image.layer.v1.tar',
});
const bottom = layer('bottom');
const middle = layer('middle');
const top = layer('top');

describe('the order in which layers reach a daemon', () => {
  let time: FakeTime;
  let order: LayerOrder;
  beforeEach(() => {
    time = startFakeTime();
    order = new LayerOrder([bottom, middle, bottom, top]);
  });
  afterEach(() => time.restore());

  const written = async (): Promise<void> => {};
  const give = (digest: Digest, bytes = full, signal = never): Promise<void> =>
    order.give(digest, bytes, written, signal);

  /** Milliseconds until more may be given; null while it has not come to that within a second. */
  async function waited(giving: Promise<void>): Promise<number | null> {
    const startMs = monotonicMs();
    let endMs: number | null = null;
    void giving.then(() => {
      endMs = monotonicMs();
    });
    await time.passMs(1_000);
    return endMs === null ? null : endMs - startMs;
  }

  it('lets the first one go on at once, whatever comes beside it', async () => {
    await give(top.digest);
    await give(middle.digest, part);
    expect(await waited(give(bottom.digest))).to.equal(0);
  });

  it('has a later one wait while an earlier one gets all that can be read at once', async () => {
    await give(bottom.digest);
    expect(await waited(give(middle.digest))).to.equal(20);
    await give(middle.digest);
    expect(await waited(give(top.digest))).to.equal(20);
  });

  it('holds nobody where the link is slower than that', async () => {
    await give(bottom.digest, part);
    expect(await waited(give(top.digest))).to.equal(0);
  });

  it('holds nobody once the earlier one has paused', async () => {
    await give(bottom.digest);
    await time.passMs(20);
    expect(await waited(give(top.digest))).to.equal(0);
  });

  it('lets a later one go on from time to time, so that its registry keeps the connection', async () => {
    let isOver = false;
    const streaming = (async () => {
      while (!isOver) {
        await give(bottom.digest);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    expect(await waited(give(top.digest))).to.be.within(250, 280);
    isOver = true;
    await time.passMs(10);
    await streaming;
  });

  it('counts an earlier one that waits for the daemon as one that streams', async () => {
    let take = (): void => {};
    const taken = new Promise<void>((resolve) => {
      take = resolve;
    });
    const giving = order.give(bottom.digest, full, () => taken, never);
    expect(await waited(give(top.digest))).to.equal(20);
    take();
    await giving;
    expect(await waited(give(top.digest))).to.equal(20);
  });

  it('neither holds a config nor waits for one', async () => {
    const config = layer('config');
    await give(bottom.digest);
    expect(await waited(give(config.digest))).to.equal(0);
    await give(config.digest);
    expect(await waited(give(bottom.digest))).to.equal(0);
  });

  it('lets nobody wait who is stopped', async () => {
    const stop = new AbortController();
    const streaming = setInterval(() => void give(bottom.digest), 5);
    await give(bottom.digest);
    setTimeout(() => stop.abort(), 50);
    expect(await waited(give(top.digest, full, stop.signal))).to.be.within(50, 70);
    clearInterval(streaming);
  });

  it('fails as the daemon does', async () => {
    const gone = new Error('the daemon has closed the connection');
    let failure: unknown;
    await order
      .give(bottom.digest, full, () => Promise.reject(gone), never)
      .catch((error: unknown) => {
        failure = error;
      });
    expect(failure).to.equal(gone);
  });
});
