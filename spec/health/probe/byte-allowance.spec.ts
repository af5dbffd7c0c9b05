import { expect } from 'chai';
import fc from 'fast-check';
import { monotonicMs } from '../../../lib/clock/time.js';
import { createByteAllowance } from '../../../lib/health/probe/byte-allowance.js';
import { probeBytes } from '../../../lib/health/probe/probe-targets-document.js';
import { startFakeTime, type FakeTime } from '../../support/fake-time.js';

describe('the bytes that probes may read', () => {
  let time: FakeTime;

  beforeEach(() => {
    time = startFakeTime();
  });

  afterEach(() => {
    time.restore();
  });

  it('are never more within any minute than allowed, however long is waited for', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 * probeBytes }),
        fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 40 }),
        async (maxBytes, pauses) => {
          const allowance = createByteAllowance(maxBytes);
          const read: { readonly atMs: number; readonly bytes: number }[] = [];
          for (const pauseMs of pauses) {
            await time.passMs(pauseMs + allowance.waitMs());
            expect(allowance.waitMs()).to.equal(0);
            allowance.take();
            read.push({ atMs: monotonicMs(), bytes: allowance.bytesPerProbe });
          }
          for (const { atMs } of read) {
            const inMinute = read.filter((other) => other.atMs >= atMs && other.atMs < atMs + 60_000);
            expect(inMinute.reduce((sum, { bytes }) => sum + bytes, 0)).to.be.at.most(maxBytes);
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  it('count as many as came in the end', async () => {
    const allowance = createByteAllowance(2 * probeBytes);
    allowance.take()(0);
    expect(allowance.leftBytes).to.equal(2 * probeBytes);
    allowance.take()(2 * probeBytes);
    expect(allowance.waitMs()).to.equal(60_000);
    await time.passMs(60_000);
    expect(allowance.waitMs()).to.equal(0);
    expect(allowance.isUnused).to.equal(true);
  });

  it('make a probe smaller where a whole one is not allowed', () => {
    expect(createByteAllowance(1_000).bytesPerProbe).to.equal(1_000);
    expect(createByteAllowance(probeBytes * 9).bytesPerProbe).to.equal(probeBytes);
  });
});
