import { abortable } from '../policy/deadline.js';

/** Work that several callers want at the same time, done once. */
export interface SharedWork<T> {
  /**
   * Joins the work for this key, or starts it, and waits for it as `waitFor` says. A caller who leaves harms no other;
   * when all have left, the work is aborted.
   */
  join(key: string, caller: SharedWorkCaller<T>): Promise<T>;
}

/** What one caller brings. */
export interface SharedWorkCaller<T> {
  readonly signal: AbortSignal;
  /** Does the work, where nobody does it yet. Calls `begun` when its own queue is behind it. */
  readonly start: (signal: AbortSignal, begun: () => void) => Promise<T>;
  /** Bounds the wait, which starts when the work has begun. */
  readonly waitFor: (result: Promise<T>, signal: AbortSignal) => Promise<T>;
}

interface Running<T> {
  readonly result: Promise<T>;
  readonly begun: Promise<void>;
  readonly ending: AbortController;
  callers: number;
}

export function createSharedWork<T>(): SharedWork<T> {
  const running = new Map<string, Running<T>>();

  function launch(key: string, start: SharedWorkCaller<T>['start']): Running<T> {
    const ending = new AbortController();
    let begin: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const work: Running<T> = { result: start(ending.signal, begin), begun, ending, callers: 0 };
    running.set(key, work);
    const ended = (): void => {
      begin();
      if (running.get(key) === work) running.delete(key);
    };
    // Also the handler of a failure that nobody waits for any more.
    work.result.then(ended, ended);
    return work;
  }

  return {
    join: async (key, { signal, start, waitFor }) => {
      signal.throwIfAborted();
      const work = running.get(key) ?? launch(key, start);
      work.callers += 1;
      try {
        await abortable(work.begun, signal);
        return await waitFor(work.result, signal);
      } finally {
        work.callers -= 1;
        if (work.callers === 0) {
          // A caller who comes now must not join work that is being given up.
          if (running.get(key) === work) running.delete(key);
          work.ending.abort(new Error('nobody waits for it any more'));
        }
      }
    },
  };
}
