import { expect } from 'chai';
import fc from 'fast-check';
import { parseSpan, showDistance } from '../../lib/cli/span.js';

describe('a stretch of time on the command line', () => {
  for (const [text, ms] of [
    ['1s', 1_000],
    ['90s', 90_000],
    ['30m', 1_800_000],
    ['2h', 7_200_000],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
    ['1d2h3m4s', 93_784_000],
  ] as const) {
    it(`${text} is ${ms} ms`, () => {
      expect(parseSpan(text)).to.equal(ms);
    });
  }

  for (const text of ['', '2', 'h', '2 h', '-2h', '2.5h', '0s', '0h0m', '2w', 'h2', '1e3s', '2H', '367d', '366d1s']) {
    it(`${JSON.stringify(text)} is none`, () => {
      expect(() => parseSpan(text)).to.throw(/a time such as 90s|longer than nothing/);
    });
  }

  it('is read or refused, whatever it is', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9smhd]*$/), (text) => {
        try {
          expect(Number.isSafeInteger(parseSpan(text)) && parseSpan(text) > 0).to.equal(true);
        } catch (error) {
          expect(error).to.have.property('code', 'commander.invalidArgument');
        }
      }),
      // Some have so many parts that their sum is beyond all time.
      { examples: [['999999999d'.repeat(3)]] },
    );
  });

  for (const [distanceMs, shown] of [
    [0, 'now'],
    [400, 'now'],
    [59_000, 'in 59 s'],
    [-60_000, '1 min ago'],
    [3_599_000, 'in 59 min'],
    [7_200_000, 'in 2 h'],
    [-5_400_000, '1 h 30 min ago'],
    [200 * 3_600_000, 'in 8 days'],
  ] as const) {
    it(`${distanceMs} ms away is shown as ${shown}`, () => {
      expect(showDistance(1e12 + distanceMs, 1e12)).to.equal(shown);
    });
  }
});
