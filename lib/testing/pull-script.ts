import type { PullFailoverError } from '../errors/pull-failover-error.js';
import type { Digest } from '../vocabulary/digest.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { PullBytes, Resolution, Served } from '../vocabulary/report.js';

/**
 * What a registry did wrong. Reason and verdict follow from it as in a real pull.
 *
 * - `stalled`: its bytes stopped coming; for metadata it did not answer
 * - `refused`, `reset`: the connection was
 * - `unavailable`: 503
 * - `limited`: 429, with a Retry-After of a minute
 * - `missing`: 404
 * - `denied`: 403
 * - `wrong-bytes`: they do not have their digest
 */
export type RegistryMishap =
  'stalled' | 'refused' | 'reset' | 'unavailable' | 'limited' | 'missing' | 'denied' | 'wrong-bytes';

/** What went wrong where; what is left out is plausible. */
export interface MishapOptions {
  /** Default `'layers'`. */
  readonly phase?: RegistryPhase;
  /** Default `'stalled'`. */
  readonly because?: RegistryMishap;
}

/** A try that failed. */
export interface RegistryFailsOptions extends MishapOptions {
  /** The registry's prefix; default the first of the image's replica set. */
  readonly registry?: string;
}

/** Work that moves to another registry. */
export interface FailOverOptions extends MishapOptions {
  /** Default the first registry of the image's replica set. */
  readonly from?: string;
  /** Default the second one. */
  readonly to?: string;
  /** Bytes that need not be fetched again; default 6,000,000 for layers, always 0 for metadata. */
  readonly bytesKept?: number;
}

/** What the report is to say; everything has a plausible default. */
export interface SucceedOptions {
  readonly digest?: Digest;
  readonly manifestDigest?: Digest;
  readonly imageId?: string;
  readonly resolution?: Resolution;
  /** Default: an image of about 20 MB, all of it fetched. */
  readonly bytes?: Partial<PullBytes>;
  /** Default: whoever the script lets do the work. The bytes must add up to `bytes.fetched`. */
  readonly served?: readonly ServedOptions[];
}

/** What the report is to say of one registry. */
export interface ServedOptions {
  /** The registry's prefix; default the one at this place of the image's replica set. */
  readonly registry?: string;
  /** Default 1; 0 of one that was only asked as a hedge, and sent nothing. */
  readonly objects?: number;
  /** Default 1, or 0 where `objects` is 0. */
  readonly bytes?: number;
  /** At most `bytes`; default 0. */
  readonly wastedBytes?: number;
  /** Default 1, or 0 where it sent nothing. */
  readonly connections?: number;
  /** Default none; where `objects` is 0 there must be some, or no report would name the registry. */
  readonly hedges?: Partial<Served['hedges']>;
}

/** How a pull finds nobody who can serve it. */
export interface ExhaustOptions {
  /** What the error says of when to try again, in milliseconds. */
  readonly retryAfterMs?: number;
}

/** A place in a script at which the pull waits for the test. */
export interface PullHold {
  readonly kind: 'hold';
  /** Resolves when a pull has got here. */
  readonly reached: Promise<void>;
  /** Lets the pull go on, now or when it gets here. */
  open(): void;
}

/** What happens in the middle of a pull. */
export type PullMiddle =
  | ({ readonly kind: 'registry-fails' } & RegistryFailsOptions)
  | ({ readonly kind: 'every-registry-fails' } & MishapOptions)
  | ({ readonly kind: 'fail-over' } & FailOverOptions)
  | { readonly kind: 'park' }
  | PullHold;

/** How a pull ends. */
export type PullEnd =
  | ({ readonly kind: 'succeed' } & SucceedOptions)
  | { readonly kind: 'succeed-from-cache' }
  | ({ readonly kind: 'exhaust' } & ExhaustOptions)
  | { readonly kind: 'exceed-deadline' }
  | { readonly kind: 'fail'; readonly error: PullFailoverError }
  | { readonly kind: 'never-end' };

/** One thing that happens in a pull. */
export type PullStep = PullMiddle | PullEnd;

/** What happens in one pull, in order; the last step is its only end. */
export type PullScript = readonly PullStep[];

/** The steps and whole scripts that a puller double plays. */
export interface PullScripts {
  /** `registry:failed`: one try failed, and the pull goes on. */
  registryFails(options?: RegistryFailsOptions): PullStep;
  /** `registry:failed` of each registry of the image's replica set, in order. */
  everyRegistryFails(options?: MishapOptions): PullStep;
  /** `registry:failed`, then `pull:failed-over`. */
  failOver(options?: FailOverOptions): PullStep;
  /** `pull:parked`, until the test promotes or cancels it or half a minute is over; only with `whenExhausted: { waitMs }`. */
  park(): PullStep;
  /** The pull waits until the test opens it. */
  hold(): PullHold;
  /** The image is in the engine. */
  succeed(options?: SucceedOptions): PullStep;
  /** The engine's own copy is used, as `pullPolicy` or `whenExhausted: 'use-cached'` say. */
  succeedFromCache(): PullStep;
  /** `PullExhaustedError` with every try that failed. */
  exhaust(options?: ExhaustOptions): PullStep;
  /** `PullDeadlineError` with every try that failed, at once. */
  exceedDeadline(): PullStep;
  /** Any other error of this library. */
  fail(error: PullFailoverError): PullStep;
  /** Nothing more happens until the caller aborts, its deadline is over or the puller closes. */
  neverEnd(): PullStep;

  /** The outage of one registry: it fails, another one takes over, the pull succeeds. */
  outage(options?: FailOverOptions): PullScript;
  /** Every registry of the replica set fails, and so does the pull. */
  exhausted(options?: MishapOptions & ExhaustOptions): PullScript;
  /** Every registry fails, the pull is parked, and succeeds when it is promoted. */
  parked(options?: MishapOptions): PullScript;
  /** Nothing answers until the caller aborts. */
  aborted(): PullScript;
  /** A registry fails, and the pull's time is over. */
  pastDeadline(options?: RegistryFailsOptions): PullScript;
  /** Every registry fails, and the engine's own copy is used. */
  cached(options?: MishapOptions): PullScript;
}

function hold(): PullHold {
  let open = (): void => {};
  let reach = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const made: PullHold = { kind: 'hold', reached, open };
  doors.set(made, { opened, reach });
  return made;
}

/** The pull's side of a hold. */
export interface HoldDoor {
  readonly opened: Promise<void>;
  readonly reach: () => void;
}

const doors = new WeakMap<PullHold, HoldDoor>();

/** The pull's side of a hold, or undefined for what `pulls.hold()` did not make. */
export function doorOf(made: PullHold): HoldDoor | undefined {
  return doors.get(made);
}

/** The steps and ready-made scripts of `createPullerDouble`. */
export const pulls: PullScripts = {
  registryFails: (options) => ({ ...options, kind: 'registry-fails' }),
  everyRegistryFails: (options) => ({ ...options, kind: 'every-registry-fails' }),
  failOver: (options) => ({ ...options, kind: 'fail-over' }),
  park: () => ({ kind: 'park' }),
  hold,
  succeed: (options) => ({ ...options, kind: 'succeed' }),
  succeedFromCache: () => ({ kind: 'succeed-from-cache' }),
  exhaust: (options) => ({ ...options, kind: 'exhaust' }),
  exceedDeadline: () => ({ kind: 'exceed-deadline' }),
  fail: (error) => ({ kind: 'fail', error }),
  neverEnd: () => ({ kind: 'never-end' }),

  outage: (options) => [{ ...options, kind: 'fail-over' }, { kind: 'succeed' }],
  exhausted: ({ retryAfterMs, ...mishap } = {}) => [
    { ...mishap, kind: 'every-registry-fails' },
    { kind: 'exhaust', ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
  ],
  parked: (options) => [{ ...options, kind: 'every-registry-fails' }, { kind: 'park' }, { kind: 'succeed' }],
  aborted: () => [{ kind: 'never-end' }],
  pastDeadline: (options) => [{ ...options, kind: 'registry-fails' }, { kind: 'exceed-deadline' }],
  cached: (options) => [{ ...options, kind: 'every-registry-fails' }, { kind: 'succeed-from-cache' }],
};
