import { expect } from 'chai';
import fc from 'fast-check';
import { createTripRule, minPullsForRatio } from '../../lib/health/trip-rule.js';

const settings = { consecutiveFailures: 2, failureRatio: 0.5, windowMs: 30_000 };

describe('the trip rule', () => {
  it('trips at the second ill pull in a row', () => {
    const rule = createTripRule(settings);
    expect(rule.record(true, 0)).to.equal(false);
    expect(rule.record(true, 1_000_000)).to.equal(true);
  });

  it('starts to count again after a good pull', () => {
    const rule = createTripRule(settings);
    expect([true, false, true].map((isIll, index) => rule.record(isIll, index * 60_000))).to.deep.equal([
      false,
      false,
      false,
    ]);
  });

  it('trips on half of six pulls within the window, never two in a row', () => {
    const rule = createTripRule(settings);
    const outcomes = [false, true, false, true, false, true];
    expect(outcomes.map((isIll, index) => rule.record(isIll, index * 1_000)).lastIndexOf(true)).to.equal(5);
  });

  it('does not trip on half of five', () => {
    const rule = createTripRule({ ...settings, consecutiveFailures: Infinity });
    expect([true, true, true, true, true].map((isIll) => rule.record(isIll, 0))).not.to.include(true);
    expect(rule.record(true, 0)).to.equal(true);
  });

  it('does not count a pull any more that is as old as the window', () => {
    const rule = createTripRule({ ...settings, consecutiveFailures: Infinity });
    for (let pull = 0; pull < 5; pull += 1) rule.record(true, 0);
    expect(rule.record(true, settings.windowMs)).to.equal(false);
    const inTime = createTripRule({ ...settings, consecutiveFailures: Infinity });
    for (let pull = 0; pull < 5; pull += 1) inTime.record(true, 0);
    expect(inTime.record(true, settings.windowMs - 1)).to.equal(true);
  });

  it('never trips on a good pull', () => {
    const rule = createTripRule({ consecutiveFailures: Infinity, failureRatio: 0.01, windowMs: 1_000 });
    for (let pull = 0; pull < 5; pull += 1) rule.record(true, 0);
    expect(rule.record(false, 0)).to.equal(false);
  });

  it('forgets everything when it is reset', () => {
    const rule = createTripRule(settings);
    rule.record(true, 0);
    rule.reset();
    expect(rule.isIdle(0)).to.equal(true);
    expect(rule.record(true, 0)).to.equal(false);
  });

  it('is idle once nothing remembered can count any more', () => {
    const rule = createTripRule(settings);
    rule.record(false, 0);
    expect(rule.isIdle(settings.windowMs - 1)).to.equal(false);
    expect(rule.isIdle(settings.windowMs)).to.equal(true);
    rule.record(true, settings.windowMs);
    expect(rule.isIdle(settings.windowMs * 10), 'an ill pull counts until a good one').to.equal(false);
  });

  it('agrees with its definition over any history', () => {
    const pull = fc.record({ isIll: fc.boolean(), afterMs: fc.integer({ min: 0, max: 12_000 }) });
    fc.assert(
      fc.property(
        fc.array(pull, { maxLength: 60 }),
        fc.constantFrom(1, 2, 3, Infinity),
        fc.constantFrom(0.25, 0.5, 1),
        (pulls, consecutiveFailures, failureRatio) => {
          const rule = createTripRule({ consecutiveFailures, failureRatio, windowMs: 30_000 });
          const history: { readonly isIll: boolean; readonly atMs: number }[] = [];
          let nowMs = 0;
          for (const { isIll, afterMs } of pulls) {
            nowMs += afterMs;
            history.push({ isIll, atMs: nowMs });
            const recent = history.filter((each) => nowMs - each.atMs < 30_000);
            const share = recent.filter((each) => each.isIll).length / recent.length;
            const lastGood = history.findLastIndex((each) => !each.isIll);
            const expected =
              isIll &&
              (history.length - 1 - lastGood >= consecutiveFailures ||
                (recent.length >= minPullsForRatio && share >= failureRatio));
            expect(rule.record(isIll, nowMs)).to.equal(expected);
          }
        },
      ),
    );
  });
});
