import { expect } from 'chai';
import { isInvalidOptionError } from '../../lib/errors/invalid-option-error.js';
import {
  defaultConsecutiveFailures,
  defaultCoolDownMs,
  defaultFailureRatio,
  defaultMaxCoolDownMs,
  defaultMaxProbeBytesPerMinute,
  defaultProbeIntervalMs,
  defaultWindowMs,
  parseHealthOptions,
} from '../../lib/health/health-options.js';

describe('the health options', () => {
  it('have a default each', () => {
    const defaults = {
      consecutiveFailures: defaultConsecutiveFailures,
      failureRatio: defaultFailureRatio,
      windowMs: defaultWindowMs,
      coolDownMs: defaultCoolDownMs,
      maxCoolDownMs: defaultMaxCoolDownMs,
      probe: { intervalMs: defaultProbeIntervalMs, maxBytesPerMinute: defaultMaxProbeBytesPerMinute },
      canary: null,
    };
    expect(parseHealthOptions(undefined)).to.deep.equal(defaults);
    expect(parseHealthOptions({ windowMs: undefined })).to.deep.equal(defaults);
    expect(parseHealthOptions({})).to.be.frozen;
  });

  it('take what is given', () => {
    const given = {
      consecutiveFailures: Infinity,
      failureRatio: 1,
      windowMs: 1,
      coolDownMs: 2,
      maxCoolDownMs: 2,
      probe: { intervalMs: 3, maxBytesPerMinute: 4 },
      canary: { intervalMs: 5 },
    };
    expect(parseHealthOptions(given)).to.deep.equal(given);
  });

  it('move a default out of the way of a cool-down that is given', () => {
    expect(parseHealthOptions({ coolDownMs: 600_000 })).to.include({ coolDownMs: 600_000, maxCoolDownMs: 600_000 });
    expect(parseHealthOptions({ maxCoolDownMs: 1_000 })).to.include({ coolDownMs: 1_000, maxCoolDownMs: 1_000 });
  });

  for (const [option, value, problem] of [
    ['health', [], /must be an object/],
    ['health', null, /must be an object/],
    ['health.cooldownMs', { cooldownMs: 1 }, /is unknown/],
    ['health.consecutiveFailures', { consecutiveFailures: 0 }, /at least 1.*got 0/],
    ['health.consecutiveFailures', { consecutiveFailures: 1.5 }, /got 1\.5/],
    ['health.failureRatio', { failureRatio: 0 }, /above 0, got 0/],
    ['health.failureRatio', { failureRatio: 1.01 }, /got 1\.01/],
    ['health.failureRatio', { failureRatio: Number.NaN }, /got NaN/],
    ['health.windowMs', { windowMs: 0 }, /got 0/],
    ['health.windowMs', { windowMs: Infinity }, /got Infinity/],
    ['health.coolDownMs', { coolDownMs: '15s' }, /got "15s"/],
    ['health.coolDownMs', { coolDownMs: 86_400_001 }, /got 86400001/],
    ['health.coolDownMs', { coolDownMs: 2_000, maxCoolDownMs: 1_000 }, /health\.maxCoolDownMs 1000, got 2000/],
    ['health.maxCoolDownMs', { maxCoolDownMs: -1 }, /got -1/],
    ['health.probe', { probe: 5_000 }, /must be an object/],
    ['health.probe.everyMs', { probe: { everyMs: 1 } }, /is unknown/],
    ['health.probe.intervalMs', { probe: { intervalMs: 0 } }, /got 0/],
    ['health.probe.maxBytesPerMinute', { probe: { maxBytesPerMinute: 0 } }, /got 0/],
    ['health.canary.intervalMs', { canary: {} }, /must be given/],
    ['health.canary.intervalMs', { canary: { intervalMs: Infinity } }, /got Infinity/],
  ] as const) {
    it(`refuse ${JSON.stringify(value)}, naming ${option}`, () => {
      try {
        parseHealthOptions(value);
      } catch (error) {
        if (!isInvalidOptionError(error)) throw error;
        expect(error.option).to.equal(option);
        expect(error.message).to.match(problem);
        return;
      }
      expect.fail('nothing was thrown');
    });
  }
});
