import { hasErrorName, PullFailoverError } from './pull-failover-error.js';

/** An option is unknown, out of range, or contradicts another one. */
export class InvalidOptionError extends PullFailoverError {
  override readonly name = 'InvalidOptionError';
  /** The option's path, such as `timeouts.layers.stallMs`. */
  readonly option: string;

  /** @param problem what is wrong, without the option's name: `must be a positive integer, got -1` */
  constructor(option: string, problem: string, cause?: unknown) {
    super(`Option ${option} ${problem}`, {
      code: 'ERR_OPTION_INVALID',
      retryable: false,
      ...(cause === undefined ? {} : { cause }),
    });
    this.option = option;
  }
}

/** Tells whether a thrown value is an `InvalidOptionError`, also of another installed copy of this package. */
export function isInvalidOptionError(value: unknown): value is InvalidOptionError {
  return hasErrorName(value, 'InvalidOptionError');
}
