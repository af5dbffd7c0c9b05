import { abortable } from '../policy/deadline.js';
import { startSharedTask, type SharedTask } from '../policy/shared-task.js';

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
  readonly begun: Promise<void>;
  readonly task: SharedTask<T>;
}

export function createSharedWork<T>(): SharedWork<T> {
  const running = new Map<string, Running<T>>();

  function launch(key: string, start: SharedWorkCaller<T>['start']): Running<T> {
    let begin: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const over = (): void => {
      begin();
      if (running.get(key) === work) running.delete(key);
    };
    const task = startSharedTask((signal) => start(signal, begin), 'nobody waits for it any more', over);
    const work: Running<T> = { begun, task };
    running.set(key, work);
    return work;
  }

  return {
    join: async (key, { signal, start, waitFor }) => {
      signal.throwIfAborted();
      const { begun, task } = running.get(key) ?? launch(key, start);
      return task.attend(async (result) => {
        await abortable(begun, signal);
        return waitFor(result, signal);
      });
    },
  };
}
