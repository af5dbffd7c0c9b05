import { deriveAbort } from '../policy/deadline.js';
import { startLoopTimer } from '../policy/loop-timer.js';
import { ExchangeError } from './wire-error.js';

/** Times a blob request until its first byte, over all its tries. */
export interface FirstByteLimit {
  readonly signal: AbortSignal;
  /** A connection is held: the time runs. */
  hold(): void;
  /** No connection is held: our own queue and token requests are not the storage's time. */
  letGo(): void;
  /** The first byte is here. */
  met(): void;
  /** Stops following the caller's signal. */
  end(): void;
}

/** @param firstByteMs milliseconds of loop time while a connection is held; counts from the first `hold()` */
export function startFirstByteLimit(firstByteMs: number, signal: AbortSignal): FirstByteLimit {
  const derived = deriveAbort(signal);
  const timer = startLoopTimer(firstByteMs, () => {
    derived.abort(
      new ExchangeError(`no body byte within ${firstByteMs} ms (layers.firstByteMs)`, {
        evidence: { kind: 'limit', limit: 'layers.firstByteMs', value: firstByteMs, bytes: 0 },
        phase: 'layers',
      }),
    );
  });
  timer.pause();
  return {
    signal: derived.signal,
    hold: timer.resume,
    letGo: timer.pause,
    met: timer.cancel,
    end: () => {
      timer.cancel();
      derived[Symbol.dispose]();
    },
  };
}
