import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { openOptionBag } from '../policy/option-bag.js';

/** When a circuit opens, and for how long. */
export interface HealthOptions {
  /** So many pulls in a row with an `ill` verdict open the circuit; default 2, `Infinity`: only the ratio does. */
  readonly consecutiveFailures?: number;
  /** This share of ill pulls, of at least 6 within `windowMs`, opens it too; above 0 and up to 1, default 0.5. */
  readonly failureRatio?: number;
  /** The sliding window of `failureRatio`, in milliseconds; default 30,000. */
  readonly windowMs?: number;
  /** The first cool-down, in milliseconds; default 15,000. It doubles with each reopening. */
  readonly coolDownMs?: number;
  /** The longest cool-down, in milliseconds; default 300,000. */
  readonly maxCoolDownMs?: number;
}

/** `HealthOptions`, checked and whole. */
export interface HealthSettings {
  readonly consecutiveFailures: number;
  readonly failureRatio: number;
  readonly windowMs: number;
  readonly coolDownMs: number;
  readonly maxCoolDownMs: number;
}

/** One ill pull may be an accident; the second in a row already costs an operation its limit. */
export const defaultConsecutiveFailures = 2;

/** A registry that fails every second pull costs more than the next one down the list. */
export const defaultFailureRatio = 0.5;

/** Long enough for six pulls of a small fleet, short enough to forget what is over. */
export const defaultWindowMs = 30_000;

/** With 30 s a dying registry gets 1.4 % of its load; half of that is little enough, and ends a short outage sooner. */
export const defaultCoolDownMs = 15_000;

/** An outage of hours needs no closer look than every five minutes, and its end is not missed for longer. */
export const defaultMaxCoolDownMs = 300_000;

const keys = ['consecutiveFailures', 'failureRatio', 'windowMs', 'coolDownMs', 'maxCoolDownMs'] as const;

/** A longer time is a mistake of the unit: a day is more than any cool-down or window is good for. */
const maxDurationMs = 86_400_000;

/**
 * Checks the `health` options and fills in the defaults; a default never contradicts a cool-down that was given.
 *
 * @throws InvalidOptionError naming the key and the value
 */
export function parseHealthOptions(value: unknown, path: string = 'health'): HealthSettings {
  const bag = openOptionBag(path, value, keys);
  const ratio = bag.number('failureRatio', { min: 0, max: 1 }) ?? defaultFailureRatio;
  if (ratio === 0) throw new InvalidOptionError(bag.pathOf('failureRatio'), 'must be above 0, got 0');
  const coolDownMs = bag.durationMs('coolDownMs', { max: maxDurationMs });
  const maxCoolDownMs = bag.durationMs('maxCoolDownMs', { max: maxDurationMs });
  if (coolDownMs !== undefined && maxCoolDownMs !== undefined && coolDownMs > maxCoolDownMs) {
    throw new InvalidOptionError(
      bag.pathOf('coolDownMs'),
      `must not exceed ${bag.pathOf('maxCoolDownMs')} ${maxCoolDownMs}, got ${coolDownMs}`,
    );
  }
  return Object.freeze({
    consecutiveFailures: bag.integer('consecutiveFailures', { min: 1, infinity: true }) ?? defaultConsecutiveFailures,
    failureRatio: ratio,
    windowMs: bag.durationMs('windowMs', { max: maxDurationMs }) ?? defaultWindowMs,
    coolDownMs: coolDownMs ?? Math.min(defaultCoolDownMs, maxCoolDownMs ?? Infinity),
    maxCoolDownMs: maxCoolDownMs ?? Math.max(defaultMaxCoolDownMs, coolDownMs ?? 0),
  });
}
