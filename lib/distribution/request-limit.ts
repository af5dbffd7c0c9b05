import { withDeadline } from '../policy/deadline.js';
import { lateError, type ConnectProgress } from './connect-progress.js';
import type { ExchangeError } from './wire-error.js';

/** What a limited request tells about itself when it is late. */
export interface RequestProgress extends ConnectProgress {
  /** Body bytes that had arrived. */
  bytes: number;
}

/**
 * Runs one request of the metadata phase for at most `requestMs` milliseconds of loop time. It is aborted when they
 * are over; nobody waits for it then.
 *
 * @throws ExchangeError with the limit as evidence; the signal's own reason
 */
export async function withinRequestMs<T>(
  requestMs: number,
  signal: AbortSignal,
  run: (signal: AbortSignal, progress: RequestProgress) => Promise<T>,
): Promise<T> {
  const progress: RequestProgress = { bytes: 0, unconnected: null };
  const expired = (): ExchangeError => requestLate(requestMs, progress);
  return withDeadline({ ms: requestMs, signal, expired }, (limited) => run(limited, progress));
}

/** The evidence of an expired `metadata.requestMs`. */
function requestLate(requestMs: number, progress: RequestProgress): ExchangeError {
  const { bytes } = progress;
  const evidence = { kind: 'limit', limit: 'metadata.requestMs', value: requestMs, bytes } as const;
  return lateError('no whole answer', evidence, 'metadata', progress);
}
