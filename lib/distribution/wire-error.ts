import type { Evidence } from '../vocabulary/evidence.js';
import type { RegistryPhase } from '../vocabulary/phase.js';

/** What is known of an exchange that failed. */
export interface ExchangeFailure {
  readonly evidence: Evidence;
  /** Whose limits and circuit are concerned: pings, tokens and manifests are `metadata`, blobs are `layers`. */
  readonly phase: RegistryPhase;
  /** What the peer said in words, redacted and shortened. */
  readonly detail?: string;
  readonly cause?: unknown;
}

/** One exchange with one registry failed. What follows from it is for `health/` to judge. */
export class ExchangeError extends Error {
  override readonly name = 'ExchangeError';
  readonly evidence: Evidence;
  readonly phase: RegistryPhase;
  readonly detail?: string;

  /** @param message free of credentials, tokens and signed URLs */
  constructor(message: string, failure: ExchangeFailure) {
    super(message, failure.cause === undefined ? undefined : { cause: failure.cause });
    this.evidence = failure.evidence;
    this.phase = failure.phase;
    if (failure.detail !== undefined && failure.detail !== '') this.detail = failure.detail;
  }
}
