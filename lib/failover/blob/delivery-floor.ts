import { ExchangeError } from '../../distribution/wire-error.js';
import { loopMs } from '../../policy/loop-timer.js';
import { createThroughput } from '../../policy/throughput.js';
import type { Answerer } from '../../vocabulary/evidence.js';

/** Answers put up with that bring less than `minAnswerBytes` on average; it takes some to know that all are short. */
const fewAnswers = 16;

/** Caches that cut a blob into ranges cut it into a megabyte or more; below this it is made of requests. */
const minAnswerBytes: number = 64 * 1024;

/** How often the floor is looked at, as a share of its window: late by at most this much, half a second by default. */
const checksPerWindow = 30;

/** A candidate brings bytes, and too few of them, while another one could do better. */
export class TooLittleError extends ExchangeError {}

/** The least that a candidate must bring of one blob, over all the requests that it takes for it. */
export interface DeliveryFloor {
  /** The registry is waited for, since then; default: since now. */
  resume(sinceMs?: number): void;
  /** What follows is not the registry's time. */
  pause(): void;
  arrived(bytes: number): void;
  /** An answer ended before the blob did. @throws TooLittleError when there were too many, or it is too slow */
  answerEnded(answerer: Answerer): void;
  /** What is wrong with the rate; null while nothing is, and while nobody could do better. */
  tooSlow(): TooLittleError | null;
  /** How often to look at the rate while bytes are waited for; `Infinity` where there is no floor. */
  readonly checkMs: number;
}

export interface DeliveryFloorOptions {
  /** Asked for anew each time: it follows what other candidates deliver. */
  readonly minBytesPerSecond: () => number;
  /** The sliding window of the rate. */
  readonly windowMs: number;
  /** Whether the floor holds now: only while somebody else could do better. */
  readonly holds: () => boolean;
}

/**
 * Begins with the first byte of the first answer. A registry that answers with ranges shorter than asked does not begin
 * anew with each: neither the time until their first bytes nor the small number of their bytes goes uncounted.
 */
export function createDeliveryFloor({ minBytesPerSecond, windowMs, holds }: DeliveryFloorOptions): DeliveryFloor {
  const throughput = createThroughput(windowMs);
  let answers = 0;
  let bytes = 0;

  function tooSlow(): TooLittleError | null {
    if (!throughput.covered()) return null;
    const least = Math.round(minBytesPerSecond());
    if (throughput.bytesPerSecond() >= least || !holds()) return null;
    const rate = Math.round(throughput.bytesPerSecond());
    return new TooLittleError(`${rate} bytes/s over ${windowMs} ms`, {
      evidence: { kind: 'limit', limit: 'layers.minBytesPerSecond', value: least, bytes },
      phase: 'layers',
    });
  }

  return {
    resume: (sinceMs = loopMs()) => throughput.resume(sinceMs),
    pause: () => throughput.pause(),
    arrived: (count) => {
      bytes += count;
      throughput.add(count);
    },
    answerEnded: (from) => {
      answers += 1;
      if (answers >= fewAnswers && bytes / answers < minAnswerBytes && holds()) {
        throw new TooLittleError(`${answers} answers brought ${bytes} bytes`, {
          evidence: { kind: 'content', code: 'short-ranges', from },
          phase: 'layers',
        });
      }
      const error = tooSlow();
      if (error !== null) throw error;
    },
    tooSlow,
    checkMs: Math.max(1, Math.ceil(windowMs / checksPerWindow)),
  };
}
