import type { Socket } from 'node:net';

/**
 * Ends a connection with a reset and nothing before it. Node's own `resetAndDestroy` sends an orderly end first, and
 * the peer may take that for the whole story.
 */
export function resetSocket(socket: Socket): void {
  // The mark that `resetAndDestroy` sets for `destroy`. A Node that knows it no more closes the connection in order.
  Object.assign(socket, { resetAndClosing: true });
  socket.destroy();
}
