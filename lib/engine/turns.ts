/** Lets one holder at a time have a key; the others wait in the order they came. */
export interface Turns {
  /** Resolves with what gives the turn back. @throws the signal's reason, or what `close` was given */
  take(key: string, signal: AbortSignal): Promise<() => void>;
  /** Everybody who waits, now or later, gets this error. */
  close(error: Error): void;
}

interface Waiter {
  enter(): void;
  refuse(error: unknown): void;
}

export function createTurns(): Turns {
  const waiting = new Map<string, Waiter[]>();
  let closed: Error | null = null;

  function turnOf(key: string): () => void {
    let given = false;
    return () => {
      if (given) return;
      given = true;
      const next = waiting.get(key)?.shift();
      if (next === undefined) waiting.delete(key);
      else next.enter();
    };
  }

  return {
    take: (key, signal) =>
      new Promise((resolve, reject) => {
        if (closed !== null) return reject(closed);
        if (signal.aborted) return reject(signal.reason);
        const line = waiting.get(key);
        if (line === undefined) {
          waiting.set(key, []);
          return resolve(turnOf(key));
        }
        const waiter: Waiter = {
          enter: () => {
            signal.removeEventListener('abort', onAbort);
            resolve(turnOf(key));
          },
          refuse: (error) => {
            signal.removeEventListener('abort', onAbort);
            reject(error);
          },
        };
        const onAbort = (): void => {
          line.splice(line.indexOf(waiter), 1);
          waiter.refuse(signal.reason);
        };
        signal.addEventListener('abort', onAbort);
        line.push(waiter);
      }),
    close: (error) => {
      closed = error;
      for (const line of waiting.values()) {
        for (const waiter of line.splice(0)) waiter.refuse(error);
      }
    },
  };
}
