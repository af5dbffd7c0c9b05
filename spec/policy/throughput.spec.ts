import { expect } from 'chai';
import fc from 'fast-check';
import { createThroughput } from '../../lib/policy/throughput.js';
import { startFakeTime } from '../support/fake-time.js';

const windowMs = 15_000;

describe('throughput', () => {
  it('is the mean rate since the first byte until a whole window has passed', () => {
    const throughput = createThroughput(windowMs);
    expect(throughput.bytesPerSecond(5_000)).to.equal(0);
    expect(throughput.covered(1e9)).to.equal(false);
    throughput.add(0, 10_000);
    throughput.add(1_000, 12_000);
    expect(throughput.bytesPerSecond(12_000)).to.equal(500);
    expect(throughput.covered(24_999)).to.equal(false);
    expect(throughput.covered(25_000)).to.equal(true);
  });

  it('forgets what is older than the window', () => {
    const throughput = createThroughput(windowMs);
    throughput.add(100e6, 0);
    throughput.add(1_000, 14_000);
    expect(throughput.bytesPerSecond(14_000)).to.be.above(7e6);
    expect(throughput.bytesPerSecond(15_500)).to.be.below(67);
    expect(throughput.bytesPerSecond(40_000)).to.equal(0);
  });

  it('slides: a drip that a tumbling window would miss is seen within one window of where it begins', () => {
    // Fast for 7 s, then 1 KB/s; windows that begin anew every 15 s would take until 30 s to see a full slow one.
    const throughput = createThroughput(windowMs);
    for (let atMs = 0; atMs < 7_000; atMs += 100) throughput.add(1e6, atMs);
    let slowAtMs: number | null = null;
    for (let atMs = 7_000; atMs < 40_000; atMs += 100) {
      throughput.add(100, atMs);
      if (throughput.covered(atMs) && throughput.bytesPerSecond(atMs) < 32_768) slowAtMs ??= atMs;
    }
    expect(slowAtMs).to.be.within(21_500, 22_400);
  });

  it('does not count the time of a pause, as often as it pauses', () => {
    const throughput = createThroughput(1_000);
    throughput.add(0, 0);
    let nowMs = 0;
    for (let round = 0; round < 10; round += 1) {
      nowMs += 200;
      throughput.add(200_000, nowMs);
      throughput.pause(nowMs);
      throughput.pause(nowMs + 1);
      nowMs += 60_000;
      expect(throughput.bytesPerSecond(nowMs)).to.be.above(800_000);
      throughput.resume(nowMs);
      throughput.resume(nowMs + 50);
    }
    expect(throughput.covered(nowMs)).to.equal(true);
    expect(throughput.bytesPerSecond(nowMs)).to.be.within(990_000, 1_210_000);
  });

  it('can be paused before the first byte without counting anything', () => {
    const throughput = createThroughput(1_000);
    throughput.pause(0);
    throughput.resume(500);
    throughput.add(0, 1_000);
    throughput.add(1_000, 1_500);
    expect(throughput.bytesPerSecond(1_500)).to.equal(2_000);
  });

  it('never covers an infinite window, and measures over all of it', () => {
    const throughput = createThroughput(Infinity);
    throughput.add(0, 0);
    throughput.add(1_000_000, 1_000_000);
    expect(throughput.bytesPerSecond(2_000_000)).to.equal(500);
    expect(throughput.covered(1e15)).to.equal(false);
  });

  it('reads the clock of the loop where no time is given', async () => {
    const time = startFakeTime();
    try {
      const throughput = createThroughput(1_000);
      throughput.add(0);
      await time.passMs(500);
      throughput.add(1_000);
      expect(throughput.bytesPerSecond()).to.equal(2_000);
      throughput.pause();
      await time.passMs(500);
      throughput.resume();
      expect(throughput.covered()).to.equal(false);
      await time.passMs(500);
      expect(throughput.covered()).to.equal(true);
      expect(throughput.bytesPerSecond()).to.equal(1_000);
    } finally {
      time.restore();
    }
  });

  it('lies between the rates over the window and over a sixty-fourth more, whatever arrived when', () => {
    const arrivals = fc.array(fc.record({ afterMs: fc.nat(3_000), bytes: fc.nat(1_000_000) }), { minLength: 1 });
    fc.assert(
      fc.property(arrivals, fc.nat(20_000), (steps, restMs) => {
        const throughput = createThroughput(6_400);
        const seen: { atMs: number; bytes: number }[] = [];
        let nowMs = 0;
        throughput.add(0, 0);
        for (const { afterMs, bytes } of steps) {
          nowMs += afterMs;
          seen.push({ atMs: nowMs, bytes });
          throughput.add(bytes, nowMs);
        }
        nowMs += restMs;
        const within = (ms: number): number =>
          seen.filter(({ atMs }) => atMs > nowMs - ms).reduce((sum, { bytes }) => sum + bytes, 0);
        const rate = throughput.bytesPerSecond(nowMs);
        const spanMs = Math.max(1, Math.min(nowMs, 6_500));
        const shortSpanMs = Math.max(1, Math.min(nowMs, 6_400));
        expect(rate).to.be.at.least((within(6_400) * 1_000) / spanMs - 1);
        expect(rate).to.be.at.most((within(6_501) * 1_000) / shortSpanMs + 1);
      }),
    );
  });
});
