import { hasErrorName, PullFailoverError } from './pull-failover-error.js';

/** The engine itself failed: a broken layout, a daemon that refused. */
export class EngineError extends PullFailoverError {
  override readonly name = 'EngineError';
  readonly engine: string;

  constructor(engine: string, message: string, cause?: unknown) {
    super(`Engine ${engine}: ${message}`, {
      code: 'ERR_ENGINE_FAILED',
      retryable: false,
      ...(cause === undefined ? {} : { cause }),
    });
    this.engine = engine;
  }
}

/** Tells whether a thrown value is an `EngineError`, also of another installed copy of this package. */
export function isEngineError(value: unknown): value is EngineError {
  return hasErrorName(value, 'EngineError');
}
