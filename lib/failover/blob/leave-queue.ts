import type { Candidate } from '../candidate.js';
import type { HeartContext } from '../context.js';

/** A candidate failed elsewhere while this request was still queued for a connection to it: ask the next one instead. */
export class LeftQueueError extends Error {
  override readonly name = 'LeftQueueError';
}

/** A request that may have to wait for a connection. */
export interface QueuedRequest {
  readonly context: HeartContext;
  readonly candidate: Candidate;
  /** Nobody else could do better: it stays. */
  readonly isLast: boolean;
}

/**
 * While a request only queues for a connection, news that its registry failed elsewhere makes it leave the queue.
 * Whoever fails gives its connection up before it tells of the failure: a request that has just got one from the queue
 * still listens for the rest of the turn.
 */
export function leaveQueueWhenSentLast(
  { context, candidate, isLast }: QueuedRequest,
  abort: (reason: unknown) => void,
): { readonly holdsConnection: (holds: boolean) => void; readonly dispose: () => void } {
  let state: 'before' | 'queued' | 'held' = 'before';
  let entering: NodeJS.Immediate | undefined;
  const stopListening = context.sources.onSentLast((sentLast, phase) => {
    if (state !== 'held' && !isLast && sentLast === candidate && phase === 'layers') abort(new LeftQueueError());
  });
  return {
    holdsConnection: (holds) => {
      clearImmediate(entering);
      if (!holds) {
        state = 'queued';
      } else if (state === 'before') {
        state = 'held';
      } else {
        entering = setImmediate(() => {
          state = 'held';
        });
      }
    },
    dispose: () => {
      clearImmediate(entering);
      stopListening();
    },
  };
}
