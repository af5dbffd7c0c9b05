import type net from 'node:net';
import { Client, type Dispatcher } from 'undici';

/** A proxy did not open a tunnel. */
export class TunnelError extends Error {
  override readonly name = 'TunnelError';
  /** The proxy's answer, or null when there was none. */
  readonly status: number | null;

  constructor(status: number | null, cause?: unknown) {
    super(status === null ? 'the proxy could not be used' : `the proxy answered ${status}`, { cause });
    this.status = status;
  }
}

/** What a tunnel leads to. */
export interface TunnelTarget {
  /** `host:port`, IPv6 addresses in brackets. */
  readonly authority: string;
  /** The value of `Proxy-Authorization`, or null. */
  readonly authorization: string | null;
}

/**
 * Asks the proxy at the other end of `socket` for a tunnel (CONNECT). The socket then is the tunnel.
 *
 * @throws TunnelError when the proxy refuses
 */
export async function openTunnel(
  socket: net.Socket,
  proxyOrigin: string,
  target: TunnelTarget,
  signal: AbortSignal,
): Promise<net.Socket> {
  const { authority } = target;
  let handedOver = false;
  const client = new Client(proxyOrigin, {
    headersTimeout: 0,
    connect: (_options, connected) => {
      const gone = handedOver || socket.destroyed;
      handedOver = true;
      queueMicrotask(() => {
        if (gone) connected(new TunnelError(null), null);
        else connected(null, socket);
      });
    },
  });
  const stop = (): void => {
    socket.destroy();
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    const answer: Promise<Dispatcher.ConnectData> = client.connect({
      path: authority,
      headers: {
        host: authority,
        ...(target.authorization === null ? {} : { 'proxy-authorization': target.authorization }),
      },
    });
    const { statusCode } = await answer;
    if (statusCode < 200 || statusCode > 299) throw new TunnelError(statusCode);
    signal.throwIfAborted();
    return socket;
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    throw error instanceof TunnelError ? error : new TunnelError(null, error);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
