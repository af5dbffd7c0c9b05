import { expect } from 'chai';
import fc from 'fast-check';
import { HedgeBytes } from '../../lib/failover/hedge-bytes.js';

const mebibyte = 1_024 * 1_024;
const initialBytes = 16 * mebibyte;

/** Takes until there is no more; how much that was. */
function takeAll(budget: HedgeBytes, bytes: number): number {
  let sum = 0;
  for (let taken = budget.take(bytes); taken > 0; taken = budget.take(bytes)) sum += taken;
  return sum;
}

describe('the bytes that hedges of a pull may fetch twice', () => {
  it('are 16 MiB to begin with', () => {
    expect(takeAll(new HedgeBytes(0.1), 2 * mebibyte)).to.equal(initialBytes);
  });

  it('are none at all without a budget, however much arrives', () => {
    const budget = new HedgeBytes(0);
    budget.earn(1_000 * mebibyte);
    expect(budget.take(1)).to.equal(0);
  });

  it('grow by their share of what arrives, and never beyond those to begin with', () => {
    const budget = new HedgeBytes(0.1);
    takeAll(budget, mebibyte);
    budget.earn(20 * mebibyte);
    expect(takeAll(budget, mebibyte)).to.equal(2 * mebibyte);
    budget.earn(1_000 * mebibyte);
    expect(takeAll(budget, mebibyte)).to.equal(initialBytes);
  });

  it('are less than were asked for where fewer are left, but none that are not worth a request', () => {
    const budget = new HedgeBytes(0.1);
    expect(budget.take(initialBytes - 100_000)).to.equal(initialBytes - 100_000);
    expect(budget.take(2 * mebibyte)).to.equal(100_000);
    budget.giveBack(50_000);
    expect(budget.take(2 * mebibyte)).to.equal(0);
    // All of a small rest is.
    expect(budget.take(50_000)).to.equal(50_000);
  });

  it('come back when they were not fetched twice after all', () => {
    const budget = new HedgeBytes(1);
    expect(takeAll(budget, mebibyte)).to.equal(initialBytes);
    budget.giveBack(mebibyte);
    expect(takeAll(budget, mebibyte)).to.equal(mebibyte);
    for (let times = 0; times < 100; times += 1) budget.giveBack(mebibyte);
    expect(takeAll(budget, mebibyte)).to.equal(initialBytes);
  });

  it('are whole, and never more than 16 MiB and the share of what arrived', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.array(fc.record({ does: fc.constantFrom('earn', 'take'), bytes: fc.nat(4 * mebibyte) }), { maxLength: 60 }),
        (share, steps) => {
          const budget = new HedgeBytes(share);
          let earned = 0;
          let taken = 0;
          for (const { does, bytes } of steps) {
            if (does === 'earn') {
              budget.earn(bytes);
              earned += bytes;
              continue;
            }
            const got = budget.take(bytes);
            expect(Number.isInteger(got)).to.equal(true);
            expect(got).to.be.within(0, bytes);
            taken += got;
            expect(taken).to.be.at.most(initialBytes + earned * share + 1);
          }
        },
      ),
    );
  });
});
