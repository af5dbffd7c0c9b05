import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createRelayAuth, type RelayAuth } from './auth.js';
import { answerBlob } from './blobs.js';
import { createConnections, type Connections } from './connections.js';
import { createFingerprintKey, type FingerprintKey } from './fingerprint.js';
import { createHandshakes, type Handshakes } from './handshake.js';
import { answerManifest } from './manifests.js';
import { parseTarget } from './paths.js';
import { refuse, type Refusal } from './refusal.js';
import type { Relay, RelayOptions } from './relay.js';
import { createServedImages, type ServedImages } from './served-images.js';

/** Bytes of one answer that wait in this process for a daemon which reads slowly, beside one chunk. */
const highWaterMark: number = 512 * 1024;

/** How long a connection may take for what is not an answer, in milliseconds. */
export interface ConnectionPatience {
  /** For the head of a request: one line and a few headers. Whoever takes longer is no engine. */
  readonly headMs: number;
  /** For all of a request; none has a body. */
  readonly requestMs: number;
  /** Between two requests: a daemon may unpack for a while, and finds no connection closed that it closes itself. */
  readonly idleMs: number;
  /** How often that is looked at. */
  readonly checkMs: number;
}

const usualPatience: ConnectionPatience = { headMs: 10_000, requestMs: 15_000, idleMs: 30_000, checkMs: 2_000 };

/** Everything that answers are made from. */
interface Parts {
  /** What a Host header may say: anything else comes from a page in a browser of this host. */
  readonly hosts: ReadonlySet<string>;
  readonly auth: RelayAuth;
  readonly handshakes: Handshakes;
  readonly connections: Connections;
  readonly images: ServedImages;
  readonly key: FingerprintKey;
}

/**
 * Starts an OCI registry in this process for one daemon on this host. It serves nothing but the images it is told to,
 * to nobody but whoever shows its secret. It does not keep the process alive.
 *
 * @throws Error of Node, with its `code`, when it cannot listen
 */
export async function startRelay(options: RelayOptions, patience: ConnectionPatience = usualPatience): Promise<Relay> {
  const connections = createConnections();
  const server = createServer({
    highWaterMark,
    connectionsCheckingInterval: patience.checkMs,
    headersTimeout: patience.headMs,
    requestTimeout: patience.requestMs,
    keepAliveTimeout: patience.idleMs,
    noDelay: true,
  });
  server.on('connection', connections.admit);
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    answerNoise(connections, error, socket);
  });
  const listening = await listen(server, options.listen);
  server.unref();
  const address = options.advertise ?? listening;
  const parts: Parts = {
    hosts: new Set([address.toLowerCase(), listening.toLowerCase()]),
    auth: createRelayAuth(address),
    handshakes: createHandshakes(),
    connections,
    images: createServedImages(),
    key: createFingerprintKey(),
  };
  server.on('request', (request, response) => {
    answer(parts, request, response);
  });

  let closing: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    parts.handshakes.close();
    // What is under way may have to be completed before its connection goes.
    await parts.images.close();
    connections.close();
    await closed;
  };
  const relay: Relay = {
    address,
    credentials: parts.auth.credentials,
    serve: (image) => {
      if (closing !== null) throw new Error('the relay is closed');
      return parts.images.add(image);
    },
    heardOf: parts.handshakes.heardOf,
    close: () => {
      closing ??= close();
      return closing;
    },
    [Symbol.asyncDispose]: () => relay.close(),
  };
  return relay;
}

/** Resolves with `host:port`. */
async function listen(server: Server, { host, port }: RelayOptions['listen']): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // Workers of a cluster would share one port, and hear each other's daemons.
    server.listen({ host, port, exclusive: true }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  // A connection that cannot be accepted (no file descriptors) is no reason to end the host's process.
  server.on('error', () => undefined);
  const listening = server.address() as AddressInfo;
  // Listening everywhere includes the loopback, where the daemon is.
  if (listening.address === '0.0.0.0' || listening.address === '::') return `127.0.0.1:${listening.port}`;
  return listening.family === 'IPv6'
    ? `[${listening.address}]:${listening.port}`
    : `${listening.address}:${listening.port}`;
}

function answer(parts: Parts, request: IncomingMessage, response: ServerResponse): void {
  const { socket } = request;
  // A client that goes away while it is answered is no error of this process.
  response.on('error', () => undefined);
  if (!parts.connections.begin(socket, response)) return;
  // Whatever a body would say is not read.
  if (request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined) {
    response.shouldKeepAlive = false;
  }
  response.setHeader('Docker-Distribution-Api-Version', 'registry/2.0');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  const refusal = refusalOf(parts, request);
  if (refusal !== null) {
    refuse(response, refusal);
    return;
  }
  void route(parts, request, response).catch(() => {
    response.destroy();
  });
}

/** Why a request gets nothing; null for the daemon's own. */
function refusalOf({ hosts, auth, handshakes, connections }: Parts, request: IncomingMessage): Refusal | null {
  const { headers, method, socket } = request;
  if (!hosts.has((headers.host ?? '').toLowerCase())) {
    return { status: 421, code: 'DENIED', message: 'this relay has another address' };
  }
  if (handshakes.isHandshake(request)) {
    return { status: 404, code: 'NAME_UNKNOWN', message: 'the relay was heard' };
  }
  if (!auth.admits(headers.authorization)) {
    return {
      status: 401,
      code: 'UNAUTHORIZED',
      message: 'the relay serves the daemon that was told its secret',
      headers: { 'WWW-Authenticate': auth.challenge },
    };
  }
  connections.trust(socket);
  if (method !== 'GET' && method !== 'HEAD') {
    return { status: 405, code: 'UNSUPPORTED', message: 'the relay can only be read', headers: { Allow: 'GET, HEAD' } };
  }
  return null;
}

async function route({ images, key }: Parts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const target = parseTarget(request.url ?? '');
  switch (target.kind) {
    case 'ping': {
      const body = '{}\n';
      response.writeHead(200, { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': body.length });
      response.end(body);
      return;
    }
    case 'manifest':
      await answerManifest(images, target, response);
      return;
    case 'blob': {
      const range = request.headers['if-range'] === undefined ? request.headers.range : undefined;
      const method = request.method === 'HEAD' ? 'HEAD' : 'GET';
      await answerBlob(images, key, { ...target, method, range }, response);
      return;
    }
    case 'referrers':
      refuse(response, { status: 404, code: 'MANIFEST_UNKNOWN', message: 'the relay knows no referrers' });
      return;
    case 'unknown':
      refuse(response, { status: 404, code: 'UNSUPPORTED', message: 'the relay has no such resource' });
  }
}

/** Statuses for what Node's parser refuses; anything else it refuses is a bad request. */
const noiseStatus: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/**
 * Answers what is no HTTP request. A daemon tries TLS first, and goes on in plain HTTP as soon as it gets bytes that
 * begin with `HTTP/`; without them it waits for 10 s, or fails.
 */
function answerNoise(connections: Connections, error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || connections.isAnswering(socket)) {
    socket.destroy();
    return;
  }
  const status = noiseStatus[error.code ?? ''] ?? '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy());
}
