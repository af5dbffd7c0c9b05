import { hasErrorName, PullFailoverError } from './pull-failover-error.js';

/** `pullWithFailover` was called before `configure`. */
export class NotConfiguredError extends PullFailoverError {
  override readonly name = 'NotConfiguredError';

  constructor() {
    super(
      "pull-failover is not configured: call configure({ engine, registries: ['quay.io/team', 'docker.io/team'] }) once in this process before pullWithFailover(), or use createPuller(options)",
      { code: 'ERR_NOT_CONFIGURED', retryable: false },
    );
  }
}

/** Tells whether a thrown value is a `NotConfiguredError`, also of another installed copy of this package. */
export function isNotConfiguredError(value: unknown): value is NotConfiguredError {
  return hasErrorName(value, 'NotConfiguredError');
}
