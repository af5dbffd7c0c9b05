import { monotonicMs } from '../clock/time.js';
import { abortable, withDeadline } from '../policy/deadline.js';
import { startSharedTask, type SharedTask } from '../policy/shared-task.js';
import type { CredentialsQuery } from './credentials.js';

/** One lookup that many wait for. */
export interface SharedLookup<T> {
  /**
   * Joins the lookup that is under way, or starts one. A waiter that aborts leaves alone and at once, with its own
   * reason; the lookup itself is aborted when the last one has left.
   */
  get(query?: CredentialsQuery): Promise<T>;
}

/** How a shared lookup is bounded. */
export interface SharedLookupLimits {
  /** How long an answer is given again without asking, in milliseconds; 0 = never. A failure is never kept. */
  readonly reuseMs: number;
  /** How long one lookup may take, in milliseconds. */
  readonly limitMs: number;
  /** Makes what a lookup fails with that takes longer. */
  readonly late: () => Error;
}

interface Run<T> {
  readonly fresh: boolean;
  readonly task: SharedTask<T>;
}

/**
 * Shares one lookup among everybody who wants its answer meanwhile. `look` gets a signal that aborts when its limit
 * has expired or the last waiter has left.
 */
export function shareLookup<T>(
  look: (signal: AbortSignal, fresh: boolean) => Promise<T>,
  limits: SharedLookupLimits,
): SharedLookup<T> {
  let running: Run<T> | null = null;
  let kept: { readonly value: T; readonly untilMs: number } | null = null;

  function start(fresh: boolean): Run<T> {
    const ask = async (abandoned: AbortSignal): Promise<T> => {
      const value = await withDeadline({ ms: limits.limitMs, signal: abandoned, expired: limits.late }, (signal) =>
        look(signal, fresh),
      );
      // A fresh run may have taken this one's place meanwhile: its answer will be the newer one.
      if (running === run) kept = { value, untilMs: monotonicMs() + limits.reuseMs };
      return value;
    };
    const forget = (): void => {
      if (running === run) running = null;
    };
    const run: Run<T> = { fresh, task: startSharedTask(ask, 'Nobody waits for the credentials any more', forget) };
    return run;
  }

  return {
    get: async ({ signal, fresh = false } = {}) => {
      signal?.throwIfAborted();
      if (fresh) kept = null;
      if (kept !== null && monotonicMs() < kept.untilMs) return kept.value;
      // What was asked before a rejection may bring the very answer that was rejected.
      if (running === null || (fresh && !running.fresh)) running = start(fresh);
      return running.task.attend((answer) => abortable(answer, signal));
    },
  };
}
