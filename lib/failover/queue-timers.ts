import { startLoopTimer, type LoopTimer } from '../policy/loop-timer.js';

/** Timers for `p-timeout` that stand still while our own queue holds a request back. */
export interface QueueTimers {
  readonly customTimers: {
    readonly setTimeout: typeof globalThis.setTimeout;
    readonly clearTimeout: typeof globalThis.clearTimeout;
  };
  /** Tells whether the request holds a connection now. The limit starts with the first one. */
  holdsConnection(holds: boolean): void;
}

/** Makes the timers of one limit; it runs only from the first connection on, and not while waiting for another one. */
export function createQueueTimers(): QueueTimers {
  let timer: LoopTimer | null = null;
  let running = false;
  return {
    customTimers: {
      setTimeout: ((expired: () => void, ms: number) => {
        timer = startLoopTimer(ms, expired);
        if (!running) timer.pause();
        return timer;
      }) as unknown as typeof globalThis.setTimeout,
      clearTimeout: (() => {
        timer?.cancel();
      }) as unknown as typeof globalThis.clearTimeout,
    },
    holdsConnection(holds) {
      if (holds === running) return;
      running = holds;
      if (holds) timer?.resume();
      else timer?.pause();
    },
  };
}
