import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { openOptionBag, type OptionBag } from '../policy/option-bag.js';

/** When a circuit opens, for how long, and what closes it again. */
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
  /** How a registry whose cool-down is over is found to be well again. */
  readonly probe?: {
    /** From one good probe to the next, in milliseconds; default 2,500. Up to a fifth longer, at random. */
    readonly intervalMs?: number;
    /** What all probes and canaries of one registry may read within a minute, in bytes; default 4,194,304. */
    readonly maxBytesPerMinute?: number;
  };
  /** Looks at the listed registries that are taken for well, before an operation suffers. Default: none. */
  readonly canary?: {
    /** From one look to the next, in milliseconds, per registry and phase. Up to a fifth longer, at random. */
    readonly intervalMs: number;
  };
}

/** How probes are made. */
export interface ProbeSettings {
  readonly intervalMs: number;
  readonly maxBytesPerMinute: number;
}

/** `HealthOptions`, checked and whole. */
export interface HealthSettings {
  readonly consecutiveFailures: number;
  readonly failureRatio: number;
  readonly windowMs: number;
  readonly coolDownMs: number;
  readonly maxCoolDownMs: number;
  readonly probe: ProbeSettings;
  /** Null: none is made. */
  readonly canary: { readonly intervalMs: number } | null;
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

/** Three of them span the five seconds over which good results must come, so that a healed registry is back soon. */
export const defaultProbeIntervalMs = 2_500;

/** A probe of 64 KiB each second all the time: nobody's bill, and a typo in an interval does no harm. */
export const defaultMaxProbeBytesPerMinute: number = 4 * 1024 * 1024;

const keys = [
  'consecutiveFailures',
  'failureRatio',
  'windowMs',
  'coolDownMs',
  'maxCoolDownMs',
  'probe',
  'canary',
] as const;

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
  const probe = bag.bag('probe', ['intervalMs', 'maxBytesPerMinute']);
  return Object.freeze({
    consecutiveFailures: bag.integer('consecutiveFailures', { min: 1, infinity: true }) ?? defaultConsecutiveFailures,
    failureRatio: ratio,
    windowMs: bag.durationMs('windowMs', { max: maxDurationMs }) ?? defaultWindowMs,
    coolDownMs: coolDownMs ?? Math.min(defaultCoolDownMs, maxCoolDownMs ?? Infinity),
    maxCoolDownMs: maxCoolDownMs ?? Math.max(defaultMaxCoolDownMs, coolDownMs ?? 0),
    probe: Object.freeze({
      intervalMs: probe.durationMs('intervalMs', { max: maxDurationMs }) ?? defaultProbeIntervalMs,
      maxBytesPerMinute: probe.integer('maxBytesPerMinute', { min: 1 }) ?? defaultMaxProbeBytesPerMinute,
    }),
    canary: parseCanary(bag),
  });
}

function parseCanary(bag: OptionBag): HealthSettings['canary'] {
  if (!bag.has('canary')) return null;
  const canary = bag.bag('canary', ['intervalMs']);
  const intervalMs = canary.durationMs('intervalMs', { max: maxDurationMs });
  if (intervalMs === undefined) {
    throw new InvalidOptionError(canary.pathOf('intervalMs'), 'must be given: without it there are no canaries');
  }
  return Object.freeze({ intervalMs });
}
