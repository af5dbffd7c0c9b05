import type { Reason } from '../vocabulary/reason.js';
import { hasErrorName, PullFailoverError } from './pull-failover-error.js';

/** This host is at fault (a full disk, a broken file system): no registry can help, and none is blamed. */
export class HostFaultError extends PullFailoverError {
  override readonly name = 'HostFaultError';
  readonly reason: Reason;

  constructor(reason: Reason, cause?: unknown) {
    super(reason.message, {
      code: 'ERR_HOST_FAULT',
      retryable: false,
      ...(cause === undefined ? {} : { cause }),
    });
    this.reason = reason;
  }
}

/** Tells whether a thrown value is a `HostFaultError`, also of another installed copy of this package. */
export function isHostFaultError(value: unknown): value is HostFaultError {
  return hasErrorName(value, 'HostFaultError');
}
