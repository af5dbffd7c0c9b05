import { startLoopTimer, type LoopTimer } from '../../policy/loop-timer.js';

/** Timers of one request that stand still while our own queue holds it back, and before its first connection. */
export interface QueueTimers {
  /** Cancel it, also after it has expired. */
  start(ms: number, onExpired: () => void): Pick<LoopTimer, 'cancel'>;
  /** Tells whether the request holds a connection now. */
  holdsConnection(holds: boolean): void;
}

/** Makes the timers of one request. */
export function createQueueTimers(): QueueTimers {
  const timers = new Set<LoopTimer>();
  let running = false;
  const start = (ms: number, onExpired: () => void): Pick<LoopTimer, 'cancel'> => {
    const timer = startLoopTimer(ms, onExpired);
    if (!running) timer.pause();
    timers.add(timer);
    return {
      cancel: () => {
        timers.delete(timer);
        timer.cancel();
      },
    };
  };
  return {
    start,
    holdsConnection(holds) {
      if (holds === running) return;
      running = holds;
      for (const timer of timers) {
        if (holds) timer.resume();
        else timer.pause();
      }
    },
  };
}
