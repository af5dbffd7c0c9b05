import { abortable } from '../policy/deadline.js';

/** Gives each key to one holder at a time, in the order asked. */
export interface KeyedMutex {
  /** Resolves with what gives the key back, which may be called more than once. Rejects with the signal's own reason. */
  acquire(key: string, signal?: AbortSignal): Promise<() => void>;
  /** The same, or null at once when somebody has the key or waits for it. */
  tryAcquire(key: string): (() => void) | null;
}

export function createKeyedMutex(): KeyedMutex {
  /** Settles when the last one in line has given the key back. */
  const tails = new Map<string, Promise<void>>();

  function queue(key: string): { readonly turn: Promise<void>; readonly release: () => void } {
    const turn = tails.get(key) ?? Promise.resolve();
    let release = (): void => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const tail = turn.then(() => released);
    tails.set(key, tail);
    void tail.then(() => {
      if (tails.get(key) === tail) tails.delete(key);
    });
    return { turn, release };
  }

  return {
    acquire: async (key, signal) => {
      signal?.throwIfAborted();
      const { turn, release } = queue(key);
      try {
        await abortable(turn, signal);
      } catch (error) {
        // Its place in the line stays, and is passed on when it is reached.
        release();
        throw error;
      }
      return release;
    },
    tryAcquire: (key) => (tails.has(key) ? null : queue(key).release),
  };
}
