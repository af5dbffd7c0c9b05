import { connect, type Socket } from 'node:net';

/** A connection on which a spec says whatever it likes. */
export interface RawClient {
  readonly socket: Socket;
  /** Everything that came, so far. */
  readonly heard: () => string;
  readonly isClosed: () => boolean;
  say(text: string | Uint8Array): void;
  leave(): void;
}

/** The body bytes of the only answer that came so far; -1 before its headers are whole. */
export function bodyBytes(client: RawClient): number {
  const head = client.heard().indexOf('\r\n\r\n');
  return head === -1 ? -1 : client.heard().length - head - 4;
}

export async function openRawClient(address: string): Promise<RawClient> {
  const colon = address.lastIndexOf(':');
  const socket = connect({ host: address.slice(0, colon), port: Number(address.slice(colon + 1)) });
  const chunks: Buffer[] = [];
  let isClosed = false;
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  // A reset is one of the ways in which it can be closed.
  socket.on('error', () => undefined);
  socket.once('close', () => {
    isClosed = true;
  });
  await new Promise<void>((resolve) => {
    socket.once('connect', resolve);
    socket.once('close', () => resolve());
  });
  return {
    socket,
    heard: () => Buffer.concat(chunks).toString('latin1'),
    isClosed: () => isClosed,
    say: (text) => void socket.write(text),
    leave: () => void socket.destroy(),
  };
}
