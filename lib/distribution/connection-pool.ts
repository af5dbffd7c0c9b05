import type { Connection } from './connection.js';

/** Idle connections, by what they may be used for. */
export interface ConnectionPool {
  /** Takes the one that was used last, if there is one that `fits`. */
  take(key: string, fits: (connection: Connection) => boolean): Connection | null;
  /** Whether there is one that `fits`. */
  has(key: string, fits: (connection: Connection) => boolean): boolean;
  put(key: string, connection: Connection): void;
  remove(key: string, connection: Connection): void;
}

export function createConnectionPool(): ConnectionPool {
  const idleByKey = new Map<string, Connection[]>();

  function remove(key: string, connection: Connection): void {
    const idle = idleByKey.get(key);
    const index = idle?.indexOf(connection) ?? -1;
    if (idle === undefined || index === -1) return;
    idle.splice(index, 1);
    if (idle.length === 0) idleByKey.delete(key);
  }

  function find(key: string, fits: (connection: Connection) => boolean): Connection | null {
    // The last one used is the least likely to have been closed by the peer meanwhile.
    return idleByKey.get(key)?.findLast((each) => each.idle && fits(each)) ?? null;
  }

  return {
    has: (key, fits) => find(key, fits) !== null,
    take: (key, fits) => {
      const connection = find(key, fits);
      if (connection !== null) remove(key, connection);
      return connection;
    },
    put: (key, connection) => {
      const idle = idleByKey.get(key);
      if (idle === undefined) idleByKey.set(key, [connection]);
      else idle.push(connection);
    },
    remove,
  };
}
