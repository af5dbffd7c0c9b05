import { abortable } from '../policy/deadline.js';

/** One who asks a registry where a blob is, for all who want to know it at the same time. */
export interface BlobInquiry {
  /** Whether the registry is being asked just now: neither our own queue nor a token is waited for. */
  asking(is: boolean): void;
  /** It is known where the blob is, or nobody asks any more. Only the first end counts. */
  end(): void;
  /** The registry's answer is a failure that every other would get too. Only the first end counts. */
  fail(error: unknown): void;
}

/** The questions that are open at one registry. */
export interface BlobInquiries {
  /** Begins to ask; null when somebody does already. */
  begin(key: string): BlobInquiry | null;
  /**
   * Waits for the end of the question that is open, if there is one; rejects as it failed, or with the signal's own
   * reason.
   *
   * @param onAsking is told whether the registry is being asked, now and at each change
   */
  wait(key: string, signal: AbortSignal, onAsking: (is: boolean) => void): Promise<void>;
}

interface Open {
  isAsking: boolean;
  readonly listeners: Set<(is: boolean) => void>;
  readonly ended: Promise<void>;
}

export function createBlobInquiries(): BlobInquiries {
  const open = new Map<string, Open>();
  return {
    begin: (key) => {
      if (open.has(key)) return null;
      const { promise: ended, resolve, reject } = promiseWithResolvers();
      const one: Open = { isAsking: false, listeners: new Set(), ended };
      open.set(key, one);
      const close = (): void => {
        if (open.get(key) === one) open.delete(key);
      };
      return {
        asking: (is) => {
          if (one.isAsking === is) return;
          one.isAsking = is;
          for (const listener of one.listeners) listener(is);
        },
        end: () => {
          close();
          resolve();
        },
        fail: (error) => {
          close();
          reject(error);
        },
      };
    },
    wait: async (key, signal, onAsking) => {
      const one = open.get(key);
      if (one === undefined) return;
      onAsking(one.isAsking);
      one.listeners.add(onAsking);
      try {
        await abortable(one.ended, signal);
      } finally {
        one.listeners.delete(onAsking);
      }
    },
  };
}

function promiseWithResolvers(): {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
} {
  let resolve: () => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<void>((settle, fail) => {
    resolve = settle;
    reject = fail;
  });
  // Mostly nobody else waits.
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}
