import { hasErrorName, PullFailoverError } from './pull-failover-error.js';

/** A parked pull was given up by `puller.parked.cancel`. */
export class ParkCancelledError extends PullFailoverError {
  override readonly name = 'ParkCancelledError';
  readonly image: string;

  constructor(image: string, cause?: unknown) {
    super(`The parked pull of ${image} was cancelled`, {
      code: 'ERR_PARK_CANCELLED',
      retryable: true,
      ...(cause === undefined ? {} : { cause }),
    });
    this.image = image;
  }
}

/** Tells whether a thrown value is a `ParkCancelledError`, also of another installed copy of this package. */
export function isParkCancelledError(value: unknown): value is ParkCancelledError {
  return hasErrorName(value, 'ParkCancelledError');
}
