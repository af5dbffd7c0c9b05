import type { Digest } from '../vocabulary/digest.js';
import { hasErrorName, PullFailoverError } from './pull-failover-error.js';

/** A replica resolved the tag, and the host's options forbid what it answered (`onDivergence`, `onUnverified`). */
export class ReplicaDivergedError extends PullFailoverError {
  override readonly name = 'ReplicaDivergedError';
  readonly image: string;
  readonly registry: string;
  /** What the replica answered. */
  readonly digest: Digest;
  /** What is remembered, or null when nothing is. */
  readonly expected: Digest | null;

  constructor(image: string, registry: string, digest: Digest, expected: Digest | null) {
    super(
      expected === null
        ? `${registry} resolved ${image} to ${digest}, nothing is remembered to compare with, and onUnverified is 'fail'`
        : `${registry} resolved ${image} to ${digest} instead of the remembered ${expected}, and onDivergence is 'fail'`,
      { code: 'ERR_REPLICA_DIVERGED', retryable: true },
    );
    this.image = image;
    this.registry = registry;
    this.digest = digest;
    this.expected = expected;
  }
}

/** Tells whether a thrown value is a `ReplicaDivergedError`, also of another installed copy of this package. */
export function isReplicaDivergedError(value: unknown): value is ReplicaDivergedError {
  return hasErrorName(value, 'ReplicaDivergedError');
}
