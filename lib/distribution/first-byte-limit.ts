import { deriveAbort } from '../policy/deadline.js';
import { startLoopTimer } from '../policy/loop-timer.js';
import { lateError, type ConnectProgress } from './connect-progress.js';

/** Times a blob request until its first byte, over all its tries. */
export interface FirstByteLimit {
  readonly signal: AbortSignal;
  /** To be told by whoever opens a connection meanwhile. */
  readonly progress: ConnectProgress;
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
  const progress: ConnectProgress = { unconnected: null };
  const timer = startLoopTimer(firstByteMs, () => {
    const evidence = { kind: 'limit', limit: 'layers.firstByteMs', value: firstByteMs, bytes: 0 } as const;
    derived.abort(lateError('no body byte', evidence, 'layers', progress));
  });
  timer.pause();
  return {
    signal: derived.signal,
    progress,
    hold: timer.resume,
    letGo: timer.pause,
    met: timer.cancel,
    end: () => {
      timer.cancel();
      derived[Symbol.dispose]();
    },
  };
}
