import { expect } from 'chai';
import { epochMs, isTimeMovedByHand, monotonicMs, replaceTimeSource, toEpochMs } from '../../lib/clock/time.js';
import { startFakeTime } from '../support/fake-time.js';

describe('time', () => {
  it('is the time of the system, unless somebody replaced it', () => {
    const before = Date.now();
    expect(epochMs()).to.be.within(before, before + 60_000);
    const first = monotonicMs();
    expect(monotonicMs()).to.be.at.least(first);
    expect(isTimeMovedByHand()).to.equal(false);
  });

  it('is read from its replacement until that is taken away', () => {
    const restore = replaceTimeSource({ monotonicMs: () => 7, epochMs: () => 1_501_093_200_000 });
    try {
      expect([monotonicMs(), epochMs(), isTimeMovedByHand()]).to.deep.equal([7, 1_501_093_200_000, false]);
    } finally {
      restore();
    }
    expect(epochMs()).to.be.above(1_501_093_200_000);
  });

  it('is shown on the clock that people read, whichever it was kept on', () => {
    const restore = replaceTimeSource({ monotonicMs: () => 1_000, epochMs: () => 1_501_093_200_000 });
    try {
      expect([toEpochMs(400), toEpochMs(1_000), toEpochMs(3_000.4)]).to.deep.equal([
        1_501_093_199_400, 1_501_093_200_000, 1_501_093_202_000,
      ]);
    } finally {
      restore();
    }
  });

  it('passes in specs only when it is told to, for timers and clocks alike', async () => {
    const time = startFakeTime(1_000_000);
    try {
      const seen: number[] = [];
      const timer = setInterval(() => seen.push(monotonicMs()), 400);
      expect([monotonicMs(), epochMs(), Date.now(), isTimeMovedByHand()]).to.deep.equal([
        0,
        1_000_000,
        1_000_000,
        true,
      ]);
      await time.passMs(1_000);
      expect(seen).to.deep.equal([400, 800]);
      expect([monotonicMs(), epochMs(), Date.now()]).to.deep.equal([1_000, 1_001_000, 1_001_000]);
      clearInterval(timer);
    } finally {
      time.restore();
    }
    expect(isTimeMovedByHand()).to.equal(false);
  });

  it('passes in specs one due time after the other, also for what comes due meanwhile', async () => {
    const time = startFakeTime();
    try {
      const seen: (readonly [string, number])[] = [];
      setTimeout(() => {
        seen.push(['first', monotonicMs()]);
        setImmediate(() => {
          void Promise.resolve().then(() => setTimeout(() => seen.push(['set off by it', monotonicMs()]), 100));
        });
      }, 500);
      setTimeout(() => seen.push(['second', monotonicMs()]), 1_000);
      await time.passMs(1_000);
      expect(seen).to.deep.equal([
        ['first', 500],
        ['set off by it', 600],
        ['second', 1_000],
      ]);
    } finally {
      time.restore();
    }
  });
});
