import { monotonicMs } from '../clock/time.js';
import { createBoundedMap } from './bounded-map.js';
import { abortable } from './deadline.js';
import { startSharedTask, type SharedTask } from './shared-task.js';

/** Answers to one kind of question, by key: each is asked for once, whoever wants it, and kept for a while. */
export interface KeptAnswers<T> {
  /**
   * The answer that is kept, the one that is being asked for, or a new one. A waiter that aborts leaves alone, with its
   * own reason; the question is given up when the last one has left. A failure is never kept.
   */
  of(key: string, ask: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T>;
  /** Whoever asks next asks anew. */
  forget(key: string): void;
}

/** How answers are kept. */
export interface KeptAnswersOptions<T> {
  /** Milliseconds for which an answer is given again; 0 = never. */
  readonly keptMs: (answer: T) => number;
  /** As many are kept; those not used for longest go first. */
  readonly maxKept: number;
}

/** Creates a memory of answers. Runs no timer. */
export function createKeptAnswers<T>({ keptMs, maxKept }: KeptAnswersOptions<T>): KeptAnswers<T> {
  const kept = createBoundedMap<string, { readonly answer: T; readonly untilMs: number }>(maxKept);
  const asking = new Map<string, SharedTask<T>>();

  function start(key: string, ask: (signal: AbortSignal) => Promise<T>): SharedTask<T> {
    const task: SharedTask<T> = startSharedTask(
      async (signal) => {
        const answer = await ask(signal);
        kept.set(key, { answer, untilMs: monotonicMs() + keptMs(answer) });
        return answer;
      },
      'nobody waits for the answer any more',
      () => {
        if (asking.get(key) === task) asking.delete(key);
      },
    );
    asking.set(key, task);
    return task;
  }

  return {
    of: async (key, ask, signal) => {
      signal.throwIfAborted();
      const known = kept.get(key);
      if (known !== undefined && monotonicMs() < known.untilMs) return known.answer;
      const task = asking.get(key) ?? start(key, ask);
      return task.attend((answer) => abortable(answer, signal));
    },
    forget: (key) => kept.delete(key),
  };
}
