import type { Attempt } from '../vocabulary/report.js';
import { hasErrorName, PullFailoverError } from './pull-failover-error.js';

/** The whole pull took longer than the host allows (`deadlineMs`, or `timeouts.layers.totalMs`). */
export class PullDeadlineError extends PullFailoverError {
  override readonly name = 'PullDeadlineError';
  readonly image: string;
  readonly limit: 'deadlineMs' | 'layers.totalMs';
  readonly timeoutMs: number;
  /** Every failed attempt until then, in the order tried. */
  readonly attempts: readonly Attempt[];

  constructor(image: string, limit: PullDeadlineError['limit'], timeoutMs: number, attempts: readonly Attempt[]) {
    const last = attempts.at(-1);
    super(
      `Pulling ${image} took longer than ${limit} ${timeoutMs} ms, after ${attempts.length} failed attempts` +
        (last === undefined ? '' : `; the last one: ${last.registry} (${last.phase}): ${last.reason.message}`),
      { code: 'ERR_PULL_DEADLINE', retryable: true },
    );
    this.image = image;
    this.limit = limit;
    this.timeoutMs = timeoutMs;
    this.attempts = attempts;
  }
}

/** Tells whether a thrown value is a `PullDeadlineError`, also of another installed copy of this package. */
export function isPullDeadlineError(value: unknown): value is PullDeadlineError {
  return hasErrorName(value, 'PullDeadlineError');
}
