import type { Attempt } from '../vocabulary/report.js';
import type { Phase } from '../vocabulary/phase.js';
import { hasErrorName, PullFailoverError } from './pull-failover-error.js';

/** What `PullExhaustedError` knows. */
export interface PullExhaustedDetails {
  readonly image: string;
  readonly phase: Phase;
  readonly attempts: readonly Attempt[];
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** Every registry that may be asked was asked, and none could serve the image. */
export class PullExhaustedError extends PullFailoverError {
  override readonly name = 'PullExhaustedError';
  readonly image: string;
  /** The phase in which the last registry failed. */
  readonly phase: Phase;
  /** Every failed attempt, in the order tried. */
  readonly attempts: readonly Attempt[];
  /** When the first registry that asked to be left alone may be asked again, in milliseconds from now. */
  declare readonly retryAfterMs?: number;

  constructor(details: PullExhaustedDetails) {
    // "They do not have it" will be as true in a minute; anything else may be over by then.
    const retryable =
      details.attempts.length === 0 ||
      details.attempts.some((attempt) => attempt.verdict !== 'next' && attempt.verdict !== 'stop');
    super(describe(details), {
      code: 'ERR_PULL_EXHAUSTED',
      retryable,
      ...(details.cause === undefined ? {} : { cause: details.cause }),
    });
    this.image = details.image;
    this.phase = details.phase;
    this.attempts = details.attempts;
    if (details.retryAfterMs !== undefined) this.retryAfterMs = details.retryAfterMs;
  }
}

/** One clause per registry: its last reason is what an operator needs first. */
function describe(details: PullExhaustedDetails): string {
  const lastByRegistry = new Map<string, Attempt>();
  for (const attempt of details.attempts) lastByRegistry.set(attempt.registry, attempt);
  const clauses = [...lastByRegistry.values()].map(
    (attempt) => `${attempt.registry} (${attempt.phase}): ${attempt.reason.message}`,
  );
  const who = clauses.length > 0 ? `; ${clauses.join('; ')}` : '';
  return `No registry could serve ${details.image} (${details.phase}) after ${details.attempts.length} attempts${who}`;
}

/** Tells whether a thrown value is a `PullExhaustedError`, also of another installed copy of this package. */
export function isPullExhaustedError(value: unknown): value is PullExhaustedError {
  return hasErrorName(value, 'PullExhaustedError');
}
