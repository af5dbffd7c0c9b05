import { hasErrorName, PullFailoverError } from './pull-failover-error.js';

/** An image name is not in Docker's reference grammar. */
export class InvalidReferenceError extends PullFailoverError {
  override readonly name = 'InvalidReferenceError';
  /** What was given, shortened to 300 characters. */
  readonly reference: string;

  constructor(reference: string, problem: string) {
    const shown = reference.length > 300 ? `${reference.slice(0, 300)}…` : reference;
    super(`Invalid image reference ${JSON.stringify(shown)}: ${problem}`, {
      code: 'ERR_REFERENCE_INVALID',
      retryable: false,
    });
    this.reference = shown;
  }
}

/** Tells whether a thrown value is an `InvalidReferenceError`, also of another installed copy of this package. */
export function isInvalidReferenceError(value: unknown): value is InvalidReferenceError {
  return hasErrorName(value, 'InvalidReferenceError');
}
