import { resetSocket } from '../../lib/testing/reset-socket.js';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { Worker } from 'node:worker_threads';
import type { AddressInfo } from 'node:net';
import type { TestCertificate } from './tls.js';

/** One request as a test server saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  /** The client's port: equal for requests on one connection. */
  readonly clientPort: number;
}

/** A server on a port of its own. */
export interface TestServer {
  readonly host: string;
  readonly port: number;
  /** `host:port`. */
  readonly authority: string;
  /** With the scheme. */
  readonly url: string;
  /** In the order in which they arrived. */
  readonly seen: readonly SeenRequest[];
  /** Connections that are open. */
  readonly connections: number;
  /** Connections that were ever opened. */
  readonly accepted: number;
  close(): Promise<void>;
}

export type Answer = (request: SeenRequest, response: http.ServerResponse) => unknown;

export interface ServerPlace {
  /** Default: `127.0.0.1`. */
  readonly host?: string;
  /** Speaks TLS with it. */
  readonly tls?: TestCertificate & {
    readonly ca?: string;
    readonly requestCert?: boolean;
    readonly maxVersion?: 'TLSv1.2';
  };
}

/** Starts a real HTTP server that answers each request as told; a thrown error answers 599 with its message. */
export async function startServer(answer: Answer, place: ServerPlace = {}): Promise<TestServer> {
  const seen: SeenRequest[] = [];
  const listener: http.RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    request.on('end', () => {
      const one: SeenRequest = {
        method: request.method ?? '',
        url: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks).toString('utf8'),
        clientPort: request.socket.remotePort ?? 0,
      };
      seen.push(one);
      void (async () => answer(one, response))().catch((error: unknown) => {
        response.statusCode = 599;
        response.end(String(error));
      });
    });
  };
  const server =
    place.tls === undefined
      ? http.createServer(listener)
      : https.createServer(
          {
            ...place.tls,
            ...(place.tls.requestCert === true ? { requestCert: true, rejectUnauthorized: true } : {}),
          },
          listener,
        );
  return listen(server, place, seen);
}

/** Starts a TCP server that does with each connection as told: for answers that no HTTP server would give. */
export function startRawServer(
  onConnection: (socket: net.Socket) => void,
  place: Pick<ServerPlace, 'host'> = {},
): Promise<TestServer> {
  return listen(
    net.createServer((socket) => {
      socket.on('error', () => undefined);
      onConnection(socket);
    }),
    place,
    [],
  );
}

/** Starts a server that answers every request with the same bytes, as they are. */
export function startVerbatimServer(bytes: string | Buffer, end: 'close' | 'reset' | 'keep'): Promise<TestServer> {
  return startRawServer((socket) => {
    let answered = false;
    let head = '';
    socket.on('data', (chunk: Buffer) => {
      head += chunk.toString('latin1');
      if (answered || !head.includes('\r\n\r\n')) return;
      answered = true;
      socket.write(bytes, () => {
        if (end === 'close') socket.end();
        if (end === 'reset') setImmediate(() => resetSocket(socket));
      });
    });
  });
}

/** A loopback port whose queue is full: a further connection stays half open until its client gives up. */
export async function startFullPort(): Promise<{ readonly port: number; close(): Promise<void> }> {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads');
     const server = require('node:net').createServer();
     server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       parentPort.postMessage(server.address().port);
       // Nobody accepts from here on.
       setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
     });`,
    { eval: true },
  );
  const port = await new Promise<number>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  const clients: net.Socket[] = [];
  for (let connected = true; connected;) {
    const client = net.connect({ port, host: '127.0.0.1' });
    client.on('error', () => undefined);
    clients.push(client);
    connected = await new Promise<boolean>((resolve) => {
      client.once('connect', () => resolve(true));
      // A loopback connection that the kernel takes is there in well under a millisecond.
      setTimeout(() => resolve(false), 250);
    });
  }
  return {
    port,
    close: async () => {
      for (const client of clients) client.destroy();
      await worker.terminate();
    },
  };
}

async function listen(server: net.Server, place: ServerPlace, seen: readonly SeenRequest[]): Promise<TestServer> {
  const sockets = new Set<net.Socket>();
  let accepted = 0;
  server.on('connection', (socket: net.Socket) => {
    accepted += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('tlsClientError', () => undefined);
  const host = place.host ?? '127.0.0.1';
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const { port } = server.address() as AddressInfo;
  const authority = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  return {
    host,
    port,
    authority,
    url: `${place.tls === undefined ? 'http' : 'https'}://${authority}`,
    seen,
    get connections() {
      return sockets.size;
    },
    get accepted() {
      return accepted;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
