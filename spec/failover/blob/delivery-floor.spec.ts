import { expect } from 'chai';
import { createDeliveryFloor, type DeliveryFloor, TooLittleError } from '../../../lib/failover/blob/delivery-floor.js';
import { loopMs } from '../../../lib/policy/loop-timer.js';
import { type FakeTime, startFakeTime } from '../../support/fake-time.js';

const windowMs = 15_000;
const minBytesPerSecond = 32_768;

/** What an answer that ends now fails with. */
function endAnswer(floor: DeliveryFloor): TooLittleError | null {
  try {
    floor.answerEnded('storage');
    return null;
  } catch (error) {
    if (error instanceof TooLittleError) return error;
    throw error;
  }
}

describe('the least that a candidate must bring', () => {
  let time: FakeTime;
  let isLast = false;

  beforeEach(() => {
    time = startFakeTime();
    isLast = false;
  });
  afterEach(() => time.restore());

  function open(): DeliveryFloor {
    return createDeliveryFloor({ minBytesPerSecond: () => minBytesPerSecond, windowMs, holds: () => !isLast });
  }

  /** One request: so long until its first byte, so much in no time. */
  async function request(floor: DeliveryFloor, lateMs: number, bytes: number): Promise<TooLittleError | null> {
    floor.resume();
    await time.passMs(lateMs);
    floor.arrived(bytes);
    floor.pause();
    return endAnswer(floor);
  }

  it('is measured over many answers: each is too short to tell', async () => {
    const floor = open();
    const errors: (TooLittleError | null)[] = [];
    for (let count = 0; count < 12; count += 1) errors.push(await request(floor, 1_500, 40_000));
    // The first byte begins it: a window is over with the eleventh answer.
    expect(errors.findIndex((error) => error !== null)).to.equal(10);
    expect(errors[10]?.evidence).to.deep.equal({
      kind: 'limit',
      limit: 'layers.minBytesPerSecond',
      value: minBytesPerSecond,
      bytes: 11 * 40_000,
    });
  });

  it('is kept by answers that are long enough for the time they take', async () => {
    const floor = open();
    for (let count = 0; count < 40; count += 1) expect(await request(floor, 1_500, 70_000)).to.equal(null);
  });

  it('does not count what lies between the end of an answer and the connection of the next', async () => {
    const floor = open();
    for (let count = 0; count < 40; count += 1) {
      expect(await request(floor, 1_000, 70_000)).to.equal(null);
      await time.passMs(60_000);
    }
  });

  it('counts from when the connection was held, which is told only after the first byte', async () => {
    const [counted, uncounted] = [open(), open()];
    for (const floor of [counted, uncounted]) expect(await request(floor, 0, 200_000)).to.equal(null);
    await time.passMs(60_000);
    const heldSinceMs = loopMs();
    await time.passMs(20_000);
    counted.resume(heldSinceMs);
    uncounted.resume();
    expect(counted.tooSlow()?.message).to.equal('0 bytes/s over 15000 ms');
    expect(uncounted.tooSlow()).to.equal(null);
  });

  it('bears with a few short answers, and with no more, however fast they are', async () => {
    const floor = open();
    const errors: (TooLittleError | null)[] = [];
    for (let count = 0; count < 16; count += 1) errors.push(await request(floor, 1, 1_000));
    expect(errors.slice(0, 15).every((error) => error === null)).to.equal(true);
    expect(errors[15]?.evidence).to.deep.equal({ kind: 'content', code: 'short-ranges', from: 'storage' });
  });

  it('bears with any number of answers that bring 64 KiB on average', async () => {
    const floor = open();
    await request(floor, 1, 2 * 65_536);
    await request(floor, 1, 1);
    for (let count = 0; count < 1_000; count += 1) expect(await request(floor, 1, 65_536)).to.equal(null);
  });

  it('does not hold while nobody could do better, and holds again when somebody could', async () => {
    const floor = open();
    isLast = true;
    for (let count = 0; count < 40; count += 1) expect(await request(floor, 1_500, 1_000)).to.equal(null);
    expect(floor.tooSlow()).to.equal(null);
    isLast = false;
    expect(floor.tooSlow()).to.not.equal(null);
    expect(endAnswer(floor)).to.not.equal(null);
  });

  it('has no rate over an infinite window, but still counts answers', async () => {
    const floor = createDeliveryFloor({
      minBytesPerSecond: () => minBytesPerSecond,
      windowMs: Infinity,
      holds: () => true,
    });
    expect(floor.checkMs).to.equal(Infinity);
    for (let count = 0; count < 15; count += 1) expect(await request(floor, 100_000, 1)).to.equal(null);
    expect(await request(floor, 1, 1)).to.not.equal(null);
  });
});
