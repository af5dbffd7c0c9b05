import type { Socket } from 'node:net';

/**
 * Ends a connection with a reset and nothing before it. Node's own `resetAndDestroy` sends an orderly end first, and
 * the peer may take that for the whole story. One whose orderly end is on its way already is only closed: the system
 * refuses to reset it.
 */
export function resetSocket(socket: Socket): void {
  // What `resetAndDestroy` sets after that end; the socket still closes by itself, and says so.
  if (!socket.writableEnded) Object.assign(socket, { resetAndClosing: true });
  socket.destroy();
}
