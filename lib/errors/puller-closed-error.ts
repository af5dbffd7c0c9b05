import { hasErrorName, PullFailoverError } from './pull-failover-error.js';

/** The puller is closing: new pulls are refused, parked ones given back, running ones ended after the grace. */
export class PullerClosedError extends PullFailoverError {
  override readonly name = 'PullerClosedError';

  constructor(message = 'The puller is closed; ask another one, or again after the restart') {
    super(message, { code: 'ERR_PULLER_CLOSED', retryable: true });
  }
}

/** Tells whether a thrown value is a `PullerClosedError`, also of another installed copy of this package. */
export function isPullerClosedError(value: unknown): value is PullerClosedError {
  return hasErrorName(value, 'PullerClosedError');
}
