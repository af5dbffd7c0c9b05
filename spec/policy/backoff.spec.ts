import { expect } from 'chai';
import fc from 'fast-check';
import { backoffBaseMs, backoffMaxMs, backoffMs } from '../../lib/policy/backoff.js';

describe('backoff', () => {
  it('doubles its bound with each round, up to the longest wait', () => {
    const bounds = [0, 1, 2, 3, 4, 5, 50, 5_000].map((round) => backoffMs(round, { random: () => 1 }));
    expect(bounds).to.deep.equal([500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000]);
  });

  it('draws from the whole of zero up to the bound', () => {
    expect(backoffMs(3, { random: () => 0 })).to.equal(0);
    expect(backoffMs(3, { random: () => 0.5 })).to.equal(2_000);
  });

  it('takes its base and its longest wait from the caller', () => {
    expect([0, 1, 2, 3].map((round) => backoffMs(round, { baseMs: 10, maxMs: 30, random: () => 1 }))).to.deep.equal([
      10, 20, 30, 30,
    ]);
  });

  it('is always a whole number of milliseconds that sleep can take', () => {
    fc.assert(
      fc.property(fc.nat(), (round) => {
        const waitMs = backoffMs(round);
        return Number.isInteger(waitMs) && waitMs >= 0 && waitMs <= backoffMaxMs;
      }),
    );
    expect(backoffBaseMs).to.be.below(backoffMaxMs);
  });
});
