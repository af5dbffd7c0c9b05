import type { Limits } from '../policy/limits.js';
import type { HeartObserver } from './heart-observer.js';
import type { HedgeGate } from './hedge.js';
import type { Sources } from './sources.js';
import type { PullTransfer } from './transfer.js';

/** Everything the heart needs to know of one pull. */
export interface HeartContext {
  readonly pullId: string;
  /** The canonical name. */
  readonly image: string;
  /** Ends this pull; its reason is rethrown as it is. */
  readonly signal: AbortSignal;
  /** Ends what may outlive this pull: late requests that another registry has overtaken. */
  readonly outliving: AbortSignal;
  readonly limits: Limits;
  /** How long a Retry-After may be waited for when no other registry is left, in milliseconds. */
  readonly maxRetryAfterMs: number;
  readonly sources: Sources;
  readonly hedge: HedgeGate;
  readonly transfer: PullTransfer;
  readonly observer: HeartObserver;
}
