import { resetSocket } from './reset-socket.js';
import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer as createListener, type Server, type Socket } from 'node:net';
import type { Lane, Link } from './link.js';

/** The certificate a server shows, in PEM. */
export interface ServerTls {
  readonly key: string | Uint8Array;
  readonly cert: string | Uint8Array;
  /** Clients must show a certificate issued by this one. */
  readonly clientCa?: string | Uint8Array;
}

/** A connection that was accepted. */
export interface OriginConnection {
  readonly id: number;
  readonly lane: Lane;
  /** Whether this is the first request on it; true once. */
  takeFirst(): boolean;
  /** Resets it (RST), under TLS too. */
  reset(): void;
}

/** One address that answers HTTP, and can stop listening and start again. */
export interface Origin {
  /** `127.0.0.1:40001`, `[::1]:40001` */
  readonly host: string;
  /** `http://` or `https://` and the host. */
  readonly url: string;
  /** Accepted so far. */
  readonly connections: number;
  readonly openConnections: number;
  /** Resolves once the port refuses connections, or takes them again. Connections that are open stay open. */
  setRefusing(refusing: boolean): Promise<void>;
  /** Closes kept-alive connections on which nothing is asked now. */
  closeIdle(): void;
  resetConnections(): void;
  close(): Promise<void>;
}

export interface OriginOptions {
  readonly listen: string;
  readonly port: number;
  readonly tls: ServerTls | undefined;
  readonly link: Link;
  /** What becomes of a new connection. */
  admit(): 'served' | 'reset' | 'blackholed';
  handle(request: IncomingMessage, response: ServerResponse, connection: OriginConnection): void;
}

/** Longer than any spec: a connection that a double closes by itself would look like one of its faults. */
const keepAliveMs = 600_000;
/** Another process can have taken the port of a server that refused for a while; it is tried again so often. */
const listenTries = 20;
const listenAgainMs = 50;

/** Listens. Sockets are accepted by ourselves, and given to HTTP only when no fault of the connection strikes. */
export async function startOrigin(options: OriginOptions): Promise<Origin> {
  const { tls, link } = options;
  const http =
    tls === undefined
      ? createHttpServer({ keepAliveTimeout: keepAliveMs })
      : createHttpsServer({
          keepAliveTimeout: keepAliveMs,
          key: Buffer.from(tls.key),
          cert: Buffer.from(tls.cert),
          ...(tls.clientCa === undefined
            ? {}
            : { ca: Buffer.from(tls.clientCa), requestCert: true, rejectUnauthorized: true }),
        });
  const sockets = new Set<Socket>();
  // Under TLS the request's socket is not the accepted one; both have the same remote port.
  const connectionOfPort = new Map<number, OriginConnection>();
  const openRequests = new Map<number, number>();
  let accepted = 0;
  let closed = false;

  const accept = (socket: Socket): void => {
    accepted += 1;
    const id = accepted;
    const { remotePort } = socket;
    sockets.add(socket);
    // A client that goes away is its own business.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      sockets.delete(socket);
      if (remotePort !== undefined && connectionOfPort.get(remotePort)?.id === id) connectionOfPort.delete(remotePort);
    });
    const fate = closed ? 'reset' : options.admit();
    if (fate === 'reset' || remotePort === undefined) {
      resetSocket(socket);
      return;
    }
    if (fate === 'blackholed') {
      // Read and dropped: a client that goes away must still be noticed.
      socket.resume();
      return;
    }
    let first = true;
    connectionOfPort.set(remotePort, {
      id,
      lane: link.openLane(),
      takeFirst: () => {
        const was = first;
        first = false;
        return was;
      },
      reset: () => {
        resetSocket(socket);
      },
    });
    http.emit('connection', socket);
  };

  http.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const remotePort = request.socket.remotePort;
    const connection = remotePort === undefined ? undefined : connectionOfPort.get(remotePort);
    if (connection === undefined || remotePort === undefined) {
      request.socket.destroy();
      return;
    }
    openRequests.set(remotePort, (openRequests.get(remotePort) ?? 0) + 1);
    response.once('close', () => {
      const left = (openRequests.get(remotePort) ?? 1) - 1;
      if (left === 0) openRequests.delete(remotePort);
      else openRequests.set(remotePort, left);
    });
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    // A client that has all of an answer may ask again before this process knows that it is out: until then the next
    // answer waits without a socket.
    if (response.socket === null) response.once('socket', () => options.handle(request, response, connection));
    else options.handle(request, response, connection);
  });

  let listener: Server | null = await listen(options.listen, options.port, accept);
  const { port } = listener.address() as AddressInfo;
  const host = options.listen.includes(':') ? `[${options.listen}]:${port}` : `${options.listen}:${port}`;

  // One change after the other: a listener that is on its way cannot be closed.
  let changed: Promise<void> = Promise.resolve();
  function inTurn(change: () => Promise<void>): Promise<void> {
    changed = changed.then(change, change);
    return changed;
  }
  // Not awaited: a listener is done with its port at once, but only closes after its last connection.
  function stopListening(): void {
    listener?.close();
    listener = null;
  }

  return {
    host,
    url: `${tls === undefined ? 'http' : 'https'}://${host}`,
    get connections() {
      return accepted;
    },
    get openConnections() {
      return sockets.size;
    },
    setRefusing: (refusing) =>
      inTurn(async () => {
        if (refusing || closed) stopListening();
        else listener ??= await listen(options.listen, port, accept);
      }),
    closeIdle: () => {
      for (const socket of sockets) {
        if (!openRequests.has(socket.remotePort ?? -1)) socket.destroySoon();
      }
    },
    resetConnections: () => {
      for (const socket of sockets) resetSocket(socket);
    },
    close: () => {
      closed = true;
      for (const socket of sockets) socket.destroy();
      return inTurn(async () => {
        stopListening();
        // Each is forgotten when it closes, whoever destroyed it.
        await Promise.all([...sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve))));
      });
    },
  };
}

async function listen(address: string, port: number, accept: (socket: Socket) => void): Promise<Server> {
  for (let attempt = 1; ; attempt += 1) {
    const listener = createListener({ noDelay: true }, accept);
    try {
      listener.listen({ host: address, port });
      await once(listener, 'listening');
      return listener;
    } catch (error) {
      if (port === 0 || attempt === listenTries || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      await new Promise((resolve) => setTimeout(resolve, listenAgainMs));
    }
  }
}
