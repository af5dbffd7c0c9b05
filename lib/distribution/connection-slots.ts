/** The right to use one connection. */
export interface ConnectionSlot {
  /** Gives it to the next in line. Further calls do nothing. */
  release(): void;
}

/** A queue for a limited number of connections, first come, first served. */
export interface ConnectionSlots {
  /**
   * Waits for a slot, without any limit of its own; rejects with the signal's own reason.
   *
   * @param onConnection is told `false` when there is a queue, and `true` when the slot is held
   */
  acquire(signal: AbortSignal, onConnection?: (holds: boolean) => void): Promise<ConnectionSlot>;
  readonly held: number;
  readonly waiting: number;
}

export function createConnectionSlots(maxConnections: number): ConnectionSlots {
  let held = 0;
  // A set keeps the order of arrival, and one that leaves the middle of a long queue costs nothing.
  const queue = new Set<() => void>();

  function grant(): ConnectionSlot {
    held += 1;
    let released = false;
    return {
      release: () => {
        if (released) return;
        released = true;
        held -= 1;
        const [next] = queue;
        next?.();
      },
    };
  }

  return {
    get held() {
      return held;
    },
    get waiting() {
      return queue.size;
    },
    acquire: (signal, onConnection) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) {
          reject(signal.reason);
          return;
        }
        if (held < maxConnections) {
          onConnection?.(true);
          resolve(grant());
          return;
        }
        onConnection?.(false);
        const leave = (): void => {
          queue.delete(enter);
          reject(signal.reason);
        };
        const enter = (): void => {
          queue.delete(enter);
          signal.removeEventListener('abort', leave);
          onConnection?.(true);
          resolve(grant());
        };
        queue.add(enter);
        signal.addEventListener('abort', leave, { once: true });
      }),
  };
}
