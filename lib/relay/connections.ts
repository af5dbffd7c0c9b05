import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** The connections of one relay. */
export interface Connections {
  admit(socket: Socket): void;
  /** The secret was shown on it. */
  trust(socket: Socket): void;
  /** A request has come; false, and the connection is gone, when the one before it has no answer yet. */
  begin(socket: Socket, response: ServerResponse): boolean;
  /** Whether an answer has been begun and not ended: nothing else may be written there. */
  isAnswering(socket: Socket): boolean;
  readonly count: number;
  /** Ends all, whatever is under way, and those still to come. */
  close(): void;
}

/**
 * Connections on which nobody has shown the secret: a daemon shows it with its second request, so these are a few of
 * its own and any number of anybody else's. The oldest has to go, for the newest may be the daemon.
 */
const maxUntrusted = 64;

export function createConnections(): Connections {
  const all = new Set<Socket>();
  const untrusted = new Set<Socket>();
  const answers = new WeakMap<Socket, ServerResponse>();
  let isClosed = false;

  const isAnswering = (socket: Socket): boolean => {
    const answer = answers.get(socket);
    return answer !== undefined && !answer.writableEnded;
  };

  return {
    get count() {
      return all.size;
    },
    admit: (socket) => {
      if (isClosed) {
        socket.destroy();
        return;
      }
      // A pull keeps the process alive by what it asks of the daemon; a connection left idle must not.
      socket.unref();
      all.add(socket);
      untrusted.add(socket);
      socket.once('close', () => {
        all.delete(socket);
        untrusted.delete(socket);
      });
      const [oldest] = untrusted;
      if (untrusted.size > maxUntrusted && oldest !== undefined) {
        untrusted.delete(oldest);
        oldest.destroy();
      }
    },
    trust: (socket) => {
      untrusted.delete(socket);
    },
    // No engine pipelines; each request that waits behind another would hold a fetch and its buffers.
    begin: (socket, response) => {
      if (isAnswering(socket)) {
        socket.destroy();
        return false;
      }
      answers.set(socket, response);
      return true;
    },
    isAnswering,
    close: () => {
      isClosed = true;
      for (const socket of all) socket.destroy();
    },
  };
}
