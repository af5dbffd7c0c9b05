import { ExchangeError } from '../../distribution/wire-error.js';
import { deriveAbort } from '../../policy/deadline.js';
import { loopMs } from '../../policy/loop-timer.js';
import type { Answerer } from '../../vocabulary/evidence.js';
import type { Assembly } from './assembly.js';
import { watchBody } from './body-watch.js';
import type { Candidate } from '../candidate.js';
import type { HeartContext } from '../context.js';
import { createDeliveryFloor, type DeliveryFloor } from './delivery-floor.js';

/** A candidate failed elsewhere while this request was still queued for a connection to it: ask the next one instead. */
export class LeftQueueError extends Error {
  override readonly name = 'LeftQueueError';
}

/** How one candidate is asked for the rest of one blob. */
export interface Delivery {
  readonly context: HeartContext;
  readonly candidate: Candidate;
  readonly assembly: Assembly;
  /** No other candidate is left that could do better: it gets more time, and no floor. */
  readonly isLast: boolean;
  /** The first byte that counts: work has moved to this candidate. */
  readonly onFirstByte: () => void;
}

/**
 * Lets one candidate deliver what is still missing, from the byte that was reached. Several requests are made only
 * where it answers ranges shorter than asked; while somebody else could do better, only as long as they bring enough.
 *
 * @throws ExchangeError, SinkError, LeftQueueError, or the signal's own reason
 */
export async function deliverBlob(delivery: Delivery): Promise<void> {
  const { assembly, isLast } = delivery;
  const { minBytesPerSecond, windowMs } = delivery.context.limits.layers;
  const floor = createDeliveryFloor({ minBytesPerSecond, windowMs, holds: () => !isLast && hasBetter(delivery) });
  while (!assembly.isComplete) {
    const before = assembly.offset;
    const answerer = await deliverOnce(delivery, floor);
    if (assembly.isComplete) return;
    if (assembly.offset === before) {
      throw new ExchangeError(`the answer ended at byte ${before} of ${assembly.size}`, {
        evidence: { kind: 'content', code: 'length-mismatch', from: 'registry' },
        phase: 'layers',
      });
    }
    floor.answerEnded(answerer);
  }
}

/** One request, and who answered it. */
async function deliverOnce(delivery: Delivery, floor: DeliveryFloor): Promise<Answerer> {
  const { context, candidate, assembly, isLast } = delivery;
  const { layers, lastCandidate } = context.limits;
  const patience = isLast ? lastCandidate : layers;
  using work = deriveAbort(context.signal);
  const queue = leaveQueueWhenSentLast(delivery, work.abort);
  let heldSinceMs: number | undefined;
  try {
    const answer = await candidate.client.openBlob({
      repository: candidate.repository,
      digest: assembly.digest,
      size: assembly.size,
      from: assembly.offset,
      urls: assembly.urls,
      pullId: context.pullId,
      requestMs: context.limits.metadata.requestMs,
      firstByteMs: patience.firstByteMs,
      signal: work.signal,
      onConnection: (holds) => {
        heldSinceMs = holds ? loopMs() : undefined;
        queue.holdsConnection(holds);
      },
    });
    // Told last for the connection that the answer came over: neither our own queue nor a token was waited for since.
    floor.resume(heldSinceMs);
    const body = watchBody(answer.body, { stallMs: patience.stallMs, floor });
    try {
      await copyBody(delivery, body.read, assembly.offset - answer.start);
      return answer.answerer;
    } finally {
      body.close();
    }
  } finally {
    queue.dispose();
  }
}

async function copyBody(
  delivery: Delivery,
  read: () => Promise<Uint8Array | null>,
  bytesToSkip: number,
): Promise<void> {
  const { context, candidate, assembly } = delivery;
  let skip = bytesToSkip;
  let isFirst = true;
  for (;;) {
    const chunk = await read();
    if (chunk === null) return;
    context.sources.delivered(candidate, 'layers', assembly.digest, chunk.length);
    context.observer.bytesArrived(candidate.registry, 'layers', assembly.digest, chunk.length);
    // A registry that does not know ranges starts at byte 0: what we have already is passed over.
    const passed = Math.min(skip, chunk.length);
    skip -= passed;
    if (passed === chunk.length) continue;
    if (isFirst) delivery.onFirstByte();
    isFirst = false;
    await assembly.add(passed === 0 ? chunk : chunk.subarray(passed), candidate.registry);
    context.signal.throwIfAborted();
    // Whatever else the registry has to say, or never says, changes nothing: the digest decides.
    if (assembly.isComplete) return;
  }
}

/** Whether somebody else, who did not fail in this pull, could serve instead. */
function hasBetter({ context, candidate }: Delivery): boolean {
  return context.sources.candidates.some((other) => other !== candidate && !context.sources.hasFailed(other, 'layers'));
}

/**
 * While a request only queues for a connection, news that its registry failed elsewhere makes it leave the queue.
 * Whoever fails gives its connection up before it tells of the failure: a request that has just got one from the queue
 * still listens for the rest of the turn.
 */
function leaveQueueWhenSentLast(
  { context, candidate, isLast }: Delivery,
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
