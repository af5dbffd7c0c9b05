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

/** A part of a number of slots: who asks here leaves the rest to those who ask for one of the whole. */
export function createShareOfSlots(whole: ConnectionSlots, maxConnections: number): ConnectionSlots {
  const share = createConnectionSlots(maxConnections);
  return {
    get held() {
      return share.held;
    },
    get waiting() {
      return share.waiting;
    },
    acquire: async (signal, onConnection) => {
      // In the share a place is not a connection yet; having to wait for one is news all the same.
      const place = await share.acquire(signal, (holds) => {
        if (!holds) onConnection?.(false);
      });
      try {
        const slot = await whole.acquire(signal, onConnection);
        return {
          release: () => {
            slot.release();
            place.release();
          },
        };
      } catch (error) {
        place.release();
        throw error;
      }
    },
  };
}
