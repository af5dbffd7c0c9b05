import { isPullExhaustedError } from '../errors/pull-exhausted-error.js';
import { isPullFailoverError } from '../errors/pull-failover-error.js';
import { isUnsupportedImageError } from '../errors/unsupported-image-error.js';
import type { Cause } from '../vocabulary/reason.js';

/**
 * Gives a failure what callers of dockerode look at: `statusCode`, and `reason` and `json` as dockerode sets them. It
 * stays the failure it was.
 */
export function asDockerFailure(failure: unknown): unknown {
  if (!isPullFailoverError(failure)) return failure;
  const statusCode = statusOf(failure);
  return Object.assign(failure, { statusCode, reason: statusCode === 500 ? 'server error' : undefined, json: null });
}

/** An aborted call of dockerode rejects with Node's own error, whatever the signal's reason was. */
export function abortError(reason: unknown): Error {
  const error = new Error('The operation was aborted', { cause: reason });
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' });
}

/** The status with which a daemon would have refused. */
function statusOf(failure: Parameters<typeof isPullFailoverError>[0]): number {
  if (isPullExhaustedError(failure)) {
    const causes = new Set<Cause>(failure.attempts.map(({ reason }) => reason.cause));
    const areAll = (...known: readonly Cause[]): boolean =>
      causes.size > 0 && [...causes].every((c) => known.includes(c));
    // A daemon does not tell an image that is missing from one that is kept from the caller either.
    if (areAll('not-replicated', 'credentials')) return 404;
    return areAll('rate-limit', 'not-replicated', 'credentials') ? 429 : 500;
  }
  if (isUnsupportedImageError(failure)) return failure.problem === 'no-such-platform' ? 404 : 500;
  if (!isPullFailoverError(failure)) return 500;
  switch (failure.code) {
    case 'ERR_OPTION_INVALID':
    case 'ERR_REFERENCE_INVALID':
      return 400;
    case 'ERR_IMAGE_REFUSED':
      return 403;
    case 'ERR_IMAGE_NOT_CACHED':
      return 404;
    case 'ERR_PULLER_CLOSED':
      return 503;
    case 'ERR_NOT_CONFIGURED':
    case 'ERR_IMAGE_UNSUPPORTED':
    case 'ERR_PULL_EXHAUSTED':
    case 'ERR_PULL_DEADLINE':
    case 'ERR_ENGINE_FAILED':
    case 'ERR_HOST_FAULT':
    case 'ERR_REPLICA_DIVERGED':
    case 'ERR_PARK_CANCELLED':
      return 500;
  }
}
