import { setMaxListeners } from 'node:events';
import type net from 'node:net';
import { deriveAbort } from '../policy/deadline.js';
import { lostMs } from '../policy/loop-timer.js';
import type { Answerer } from '../vocabulary/evidence.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import { redactText } from '../vocabulary/redact.js';
import { AddressRefusedError, anyAddress, type AddressGuard } from './address-guard.js';
import { zoneOfAddress, zoneOfHost, type AddressZone } from './address-zone.js';
import { createConnection, type Arrived, type Connection } from './connection.js';
import { createConnectionPool } from './connection-pool.js';
import type { Headers } from './headers.js';
import type { IncomingBody } from './incoming-body.js';
import { createNameLookup, systemResolver, type NameResolver } from './name-lookup.js';
import { createNameWitness } from './name-witness.js';
import { openSocket, type SocketWatch } from './open-socket.js';
import { defaultPort, readProxies, type Proxy, type ProxyEnvironment } from './proxies.js';
import { secureSocket } from './secure-socket.js';
import { usualIdentity, type TlsIdentity } from './tls-identity.js';
import { openTunnel, TunnelError } from './tunnel.js';
import { evidenceOfWireError, type WireCircumstances, type WireStage } from './wire-evidence.js';
import { ExchangeError } from './wire-error.js';

/** What a transport is made with. */
export interface TransportOptions {
  /** Where proxies are named. Default: none, every connection is direct. */
  readonly env?: ProxyEnvironment;
  /** How names are looked up. Default: as this host does. */
  readonly resolve?: NameResolver;
}

/** One request to one URL. Redirects are answers like any other. */
export interface WireRequest {
  readonly url: URL;
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly tls: TlsIdentity;
  /** Which addresses the URL's host may have. */
  readonly guard: AddressGuard;
  /** Who is being asked. */
  readonly answerer: Answerer;
  readonly phase: RegistryPhase;
  readonly signal: AbortSignal;
}

/** The head of an answer, and its body as it arrives. */
export interface WireAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: IncomingBody;
  /** The connection had served another request before. */
  readonly reused: boolean;
  /** Where the answer came from; null when a proxy hides it. */
  readonly zone: AddressZone | null;
}

/** Connections to whatever registries, their storage and their token services are at. */
export interface Transport {
  /**
   * Sends a request and returns the head of its answer. The body must be read to its end or cancelled.
   *
   * @throws ExchangeError, also from the body; the signal's own reason at an abort
   */
  send(request: WireRequest): Promise<WireAnswer>;
  /** Sockets that are open or being opened. */
  readonly openSockets: number;
  /** Ends every exchange and every socket at once, those still connecting too. Resolves when they are closed. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens a transport. Close it, or its idle connections stay for some seconds. */
export function createTransport(options: TransportOptions = {}): Transport {
  const proxyFor = readProxies({ ...options.env });
  const witness = createNameWitness();
  const lookup = createNameLookup(witness, options.resolve ?? systemResolver);
  const pool = createConnectionPool();
  const sockets = new Set<net.Socket>();
  const closing = new AbortController();
  // As many listeners as there are connections being opened; Node takes more than ten for a leak.
  setMaxListeners(0, closing.signal);

  const watch: SocketWatch = (socket) => {
    sockets.add(socket);
    // Errors reach whoever waits for the socket; between two users nobody does.
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    if (closing.signal.aborted) socket.destroy();
  };

  async function open(request: WireRequest, proxy: Proxy | null, key: string, reach: Reach): Promise<Connection> {
    const derived = deriveAbort(request.signal, closing.signal);
    try {
      return await connect(request, proxy, key, reach, derived.signal);
    } finally {
      derived[Symbol.dispose]();
    }
  }

  async function connect(
    request: WireRequest,
    proxy: Proxy | null,
    key: string,
    reach: Reach,
    signal: AbortSignal,
  ): Promise<Connection> {
    const { url } = request;
    const port = url.port === '' ? defaultPort(url) : url.port;
    let socket: net.Socket;
    if (proxy === null) {
      reach.stage = 'connect';
      const target = { hostname: url.hostname, port: Number(port), guard: request.guard };
      socket = await openSocket(target, lookup, watch, signal);
    } else {
      reach.stage = 'proxy';
      socket = await openProxySocket(proxy, signal);
      if (url.protocol === 'https:') {
        const target = { hostname: url.hostname, port, authorization: proxy.authorization };
        socket = await openTunnel(socket, proxy.url?.origin ?? '', target, signal);
      }
    }
    const zone = proxy === null ? zoneOfAddress(socket.remoteAddress ?? '') : null;
    if (url.protocol === 'https:') {
      reach.stage = 'tls';
      socket = await secureSocket(socket, url.hostname, request.tls, watch, signal);
    }
    reach.stage = 'exchange';
    return createConnection(url.origin, socket, zone, {
      becameIdle: (connection) => pool.put(key, connection),
      ended: (connection) => pool.remove(key, connection),
    });
  }

  async function openProxySocket(proxy: Proxy, signal: AbortSignal): Promise<net.Socket> {
    if (proxy.url === null) throw new TunnelError(null);
    const port = proxy.url.port === '' ? defaultPort(proxy.url) : proxy.url.port;
    // The operator has named it: it may be anywhere.
    const target = { hostname: proxy.url.hostname, port: Number(port), guard: anyAddress };
    const socket = await openSocket(target, lookup, watch, signal);
    if (proxy.url.protocol !== 'https:') return socket;
    return secureSocket(socket, proxy.url.hostname, usualIdentity(), watch, signal);
  }

  async function send(request: WireRequest): Promise<WireAnswer> {
    const { url, signal, guard } = request;
    signal.throwIfAborted();
    const lostBeforeMs = lostMs();
    const reach: Reach = { stage: 'connect' };
    const failure = (error: unknown, arrived: Arrived): ExchangeError =>
      exchangeErrorOf(closing.signal.aborted ? closing.signal.reason : error, request, {
        ...arrived,
        stage: reach.stage,
        answerer: request.answerer,
        nameScope: witness.scope,
      });
    let connection: Connection;
    let proxy: Proxy | null;
    try {
      if (closing.signal.aborted) throw closing.signal.reason;
      proxy = proxyFor(url);
      // Behind a proxy, which does the look-up, this is all that can be checked.
      const zone = zoneOfHost(url.hostname);
      if (zone !== null && !guard.admits(zone)) throw new AddressRefusedError(url.hostname, zone);
      const key = keyOf(request, proxy);
      const fits = (each: Connection): boolean => each.zone === null || guard.admits(each.zone);
      connection = pool.take(key, fits) ?? (await open(request, proxy, key, reach));
      reach.stage = 'exchange';
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw failure(error, {
        headArrived: false,
        reused: false,
        bytes: 0,
        lateMs: Math.round(lostMs() - lostBeforeMs),
      });
    }
    const forwarded = proxy !== null && url.protocol === 'http:';
    const reused = connection.requests > 0;
    const answer = await connection.send(
      {
        method: request.method,
        path: forwarded ? `${url.origin}${url.pathname}${url.search}` : `${url.pathname}${url.search}`,
        headers:
          forwarded && proxy?.authorization != null
            ? { ...request.headers, 'proxy-authorization': proxy.authorization }
            : request.headers,
        ...(request.body === undefined ? {} : { body: request.body }),
        lostBeforeMs,
        explain: failure,
      },
      signal,
    );
    if (forwarded && answer.status === 407) {
      answer.body.cancel(new TunnelError(407));
      throw failure(new TunnelError(407), { headArrived: true, reused, bytes: 0, lateMs: 0 });
    }
    return { ...answer, reused, zone: connection.zone };
  }

  async function close(): Promise<void> {
    closing.abort(new TransportClosedError());
    const closed = [...sockets].map(
      (socket) =>
        new Promise<void>((resolve) => {
          // Each leaves the set as it emits this, so none in the set has.
          socket.once('close', () => resolve());
          socket.destroy();
        }),
    );
    await Promise.all(closed);
  }

  return {
    send,
    get openSockets() {
      return sockets.size;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** How far a request had come; an error alone does not tell a proxy's refusal from a registry's. */
interface Reach {
  stage: WireStage;
}

/** The transport was closed under an exchange. */
class TransportClosedError extends Error {
  override readonly name = 'TransportClosedError';

  constructor() {
    super('the transport was closed');
  }
}

/** Whatever differs here never shares a connection. */
function keyOf(request: WireRequest, proxy: Proxy | null): string {
  const identity = request.url.protocol === 'https:' ? request.tls.id : '';
  return `${request.url.origin} ${identity} ${proxy?.url?.origin ?? ''}`;
}

function exchangeErrorOf(error: unknown, request: WireRequest, seen: WireCircumstances): ExchangeError {
  if (error instanceof TransportClosedError) {
    return new ExchangeError(error.message, { evidence: { kind: 'aborted' }, phase: request.phase, cause: error });
  }
  const evidence = evidenceOfWireError(error, seen);
  const cause = plainCause(error);
  return new ExchangeError(`${request.method} ${request.url.host}: ${cause.message}`, {
    evidence,
    phase: request.phase,
    cause,
  });
}

/** The errors of undici and of TLS carry raw bytes of the answer, certificates and socket details: only words are kept. */
function plainCause(error: unknown): Error {
  const words = redactText(error instanceof Error ? error.message : String(error));
  const cause = new Error(words === '' ? 'no further words' : words);
  if (error instanceof Error) {
    cause.name = error.name;
    const { code } = error as { readonly code?: unknown };
    if (typeof code === 'string') Object.assign(cause, { code });
  }
  return cause;
}
