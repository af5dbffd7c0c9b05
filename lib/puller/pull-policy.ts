import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { resolveLimits, type Limits, type Timeouts, type TimeoutsLevel } from '../policy/limits.js';
import { showValue, type OptionBag } from '../policy/option-bag.js';

/**
 * What to do when no registry can serve the image now.
 *
 * - `fail`: reject with `PullExhaustedError`
 * - `use-cached`: succeed with the engine's own copy, where it has one for this platform
 * - `{ waitMs }`: park for at most so many milliseconds in all (`Infinity`: without end), and try again when a circuit
 *   closes, a cool-down or a Retry-After ends, at least every 30 s; then as `fail`
 */
export type WhenExhausted = 'fail' | 'use-cached' | { readonly waitMs: number };

/**
 * When a registry is asked.
 *
 * - `always`: each time, as `docker pull`
 * - `if-not-present`: only when the engine does not have the image for this platform
 * - `never`: not at all; `ImageNotCachedError` when the engine does not have it
 */
export type PullPolicy = 'always' | 'if-not-present' | 'never';

/**
 * What can be said for a whole puller, per kind of operation, and per pull; the later wins, key by key, in `timeouts`
 * limit by limit.
 */
export interface PolicyOptions {
  /** What to do when no registry can serve the image now; default `'fail'`. */
  readonly whenExhausted?: WhenExhausted;
  /** Limits of the phases; what is not given has its default. */
  readonly timeouts?: Timeouts;
  /** Longest time a pull may take, parking included, in milliseconds; default `Infinity`. Its expiry is a `PullDeadlineError`. */
  readonly deadlineMs?: number;
  /** When registries are asked at all; default `'always'`. */
  readonly pullPolicy?: PullPolicy;
  /**
   * Which content counts when a replica resolves a tag to another digest than is remembered; `'fail'` rejects with
   * `ReplicaDivergedError`. Default `'remembered'`.
   */
  readonly onDivergence?: 'remembered' | 'replica' | 'fail';
  /**
   * Whether a replica's word on a tag is taken when nothing is remembered to compare it with; `'fail'` rejects with
   * `ReplicaDivergedError`. Default `'accept'`.
   */
  readonly onUnverified?: 'accept' | 'fail';
}

/** What can be said per kind of operation. */
export interface KindOptions extends PolicyOptions {
  /** These registries first, by prefix, of whichever replica sets; the others follow in the order of the list. Default none. */
  readonly order?: readonly string[];
}

/** Everything that holds for one pull, with nothing missing. */
export interface ResolvedPolicy extends Required<Omit<KindOptions, 'timeouts'>> {
  readonly limits: Limits;
}

/** The policy part of one bag of options, checked. */
export interface PolicyLevel {
  readonly values: Omit<KindOptions, 'timeouts'>;
  readonly timeouts: TimeoutsLevel;
}

export const policyKeys = [
  'whenExhausted',
  'timeouts',
  'deadlineMs',
  'pullPolicy',
  'onDivergence',
  'onUnverified',
] as const;

/** Reads what a bag says about policy. @throws InvalidOptionError */
export function parsePolicyLevel(bag: OptionBag, knownRegistries: readonly string[]): PolicyLevel {
  const whenExhausted = parseWhenExhausted(bag);
  const deadlineMs = bag.durationMs('deadlineMs', { infinity: true });
  const pullPolicy = bag.oneOf('pullPolicy', ['always', 'if-not-present', 'never']);
  const onDivergence = bag.oneOf('onDivergence', ['remembered', 'replica', 'fail']);
  const onUnverified = bag.oneOf('onUnverified', ['accept', 'fail']);
  const order = parseOrder(bag, knownRegistries);
  const timeouts = { path: bag.pathOf('timeouts'), timeouts: bag.raw('timeouts') };
  // A wrong level is told when it is given, not at the first pull it concerns.
  resolveLimits([timeouts]);
  return {
    values: {
      ...(whenExhausted === undefined ? {} : { whenExhausted }),
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
      ...(pullPolicy === undefined ? {} : { pullPolicy }),
      ...(onDivergence === undefined ? {} : { onDivergence }),
      ...(onUnverified === undefined ? {} : { onUnverified }),
      ...(order === undefined ? {} : { order }),
    },
    timeouts,
  };
}

/** Lays the levels over each other; a later one wins. @throws InvalidOptionError when two of them contradict */
export function resolvePolicy(levels: readonly PolicyLevel[]): ResolvedPolicy {
  const given: PolicyLevel['values'] = levels.reduce((all, { values }) => ({ ...all, ...values }), {});
  return {
    whenExhausted: 'fail',
    deadlineMs: Infinity,
    pullPolicy: 'always',
    onDivergence: 'remembered',
    onUnverified: 'accept',
    order: [],
    ...given,
    limits: resolveLimits(levels.map(({ timeouts }) => timeouts)),
  };
}

function parseWhenExhausted(bag: OptionBag): WhenExhausted | undefined {
  const raw = bag.raw('whenExhausted');
  if (raw === undefined) return undefined;
  if (typeof raw === 'object') {
    const waitMs = bag.bag('whenExhausted', ['waitMs']).durationMs('waitMs', { infinity: true });
    if (waitMs === undefined) throw new InvalidOptionError(bag.pathOf('whenExhausted.waitMs'), 'is missing');
    return { waitMs };
  }
  if (raw === 'fail' || raw === 'use-cached') return raw;
  throw new InvalidOptionError(
    bag.pathOf('whenExhausted'),
    `must be 'fail', 'use-cached' or { waitMs }, got ${showValue(raw, bag.pathOf('whenExhausted'))}`,
  );
}

function parseOrder(bag: OptionBag, knownRegistries: readonly string[]): readonly string[] | undefined {
  const raw = bag.raw('order');
  if (raw === undefined) return undefined;
  const path = bag.pathOf('order');
  if (!Array.isArray(raw)) throw new InvalidOptionError(path, 'must be an array of registry prefixes');
  const order = raw as readonly unknown[];
  for (const [index, prefix] of order.entries()) {
    if (typeof prefix !== 'string' || !knownRegistries.includes(prefix)) {
      throw new InvalidOptionError(
        `${path}[${index}]`,
        `must be the prefix of a registry in a replica set, got ${showValue(prefix, path)}; there are: ${knownRegistries.join(', ')}`,
      );
    }
    if (order.indexOf(prefix) !== index) throw new InvalidOptionError(`${path}[${index}]`, `repeats '${prefix}'`);
  }
  return order as readonly string[];
}
