import type { ErrorCode } from '../vocabulary/error-code.js';

/** Two installed copies of this package recognise each other's errors by it. */
const brand: unique symbol = Symbol.for('pull-failover.error');

/** What the constructor of every error takes beside its message. */
export interface ErrorDetails {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly cause?: unknown;
}

/** The base of every failure of this library; a caller's own abort reason is never wrapped in one. */
export class PullFailoverError extends Error {
  override readonly name: string = 'PullFailoverError';
  readonly code: ErrorCode;
  /** Whether the same call may succeed later, without anybody changing the call. */
  readonly retryable: boolean;

  constructor(message: string, details: ErrorDetails) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined);
    this.code = details.code;
    this.retryable = details.retryable;
    Object.defineProperty(this, brand, { value: true });
  }
}

/** Tells whether a thrown value is a failure of this library, also of another installed copy of it. */
export function isPullFailoverError(value: unknown): value is PullFailoverError {
  // Not `instanceof Error`: Jest gives each test file an `Error` of its own.
  return typeof value === 'object' && value !== null && brand in value && value[brand] === true;
}

/** The guard of one class: by brand and literal name, so that it holds across installed copies. */
export function hasErrorName(value: unknown, name: string): boolean {
  return isPullFailoverError(value) && value.name === name;
}
