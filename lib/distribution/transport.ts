import { setMaxListeners } from 'node:events';
import type net from 'node:net';
import { withoutBrackets } from '../image/registry-host.js';
import { deriveAbort } from '../policy/deadline.js';
import { lostMs } from '../policy/loop-timer.js';
import type { Answerer } from '../vocabulary/evidence.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import { redactText } from '../vocabulary/redact.js';
import { AddressRefusedError, type AddressGuard } from './address-guard.js';
import { zoneOfHost, type AddressZone } from './address-zone.js';
import { createConnection, type Arrived, type Connection } from './connection.js';
import { createConnectionPool } from './connection-pool.js';
import { evidenceAtStage, type ConnectProgress, type ConnectStage } from './connect-progress.js';
import { dial, DialError } from './dial.js';
import type { Headers } from './headers.js';
import type { IncomingBody } from './incoming-body.js';
import { createNameLookup, systemResolver, type NameResolver } from './name-lookup.js';
import type { SocketWatch } from './open-socket.js';
import { readProxies, type Proxy, type ProxyEnvironment } from './proxies.js';
import { createReach, type ReachTry } from './reach.js';
import type { TlsIdentity } from './tls-identity.js';
import { TunnelError } from './tunnel.js';
import { evidenceOfWireError, type WireCircumstances } from './wire-evidence.js';
import { ExchangeError } from './wire-error.js';

/** What a transport is made with. */
export interface TransportOptions {
  /** Where proxies are named. Default: none, every connection is direct. */
  readonly env?: ProxyEnvironment;
  /** How names are looked up. Default: as this host does. */
  readonly resolve?: NameResolver;
}

/** What a connection leads to. */
export interface WireTarget {
  readonly url: URL;
  readonly tls: TlsIdentity;
  /** Which addresses the URL's host may have. */
  readonly guard: AddressGuard;
  /** Null for a direct connection. Default: as the transport's environment says. */
  readonly proxy?: Proxy | null;
}

/** One request to one URL. Redirects are answers like any other. */
export interface WireRequest extends WireTarget {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Who is being asked. */
  readonly answerer: Answerer;
  readonly phase: RegistryPhase;
  readonly signal: AbortSignal;
  /** Told what to say of the connection, while there is none yet. */
  readonly progress?: ConnectProgress;
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
  /**
   * Opens a connection for a request that may follow, unless one waits for it already or is being opened ahead; it is
   * closed again when none comes within some seconds.
   *
   * @throws whatever keeps it from being opened; the signal's own reason at an abort
   */
  warm(target: WireTarget, signal: AbortSignal): Promise<void>;
  /**
   * The addresses that a URL's host has now; none where a proxy of the environment looks it up.
   *
   * @throws what the resolver fails with; the signal's own reason at an abort
   */
  addressesOf(url: URL, signal: AbortSignal): Promise<readonly string[]>;
  /** Sockets that are open or being opened; one that speaks TLS counts twice. */
  readonly openSockets: number;
  /** Ends every exchange and every socket at once, those still connecting too. Resolves when they are closed. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens a transport. Close it, or its idle connections stay for some seconds. */
export function createTransport(options: TransportOptions = {}): Transport {
  const proxyFor = readProxies({ ...options.env });
  const reach = createReach();
  const lookup = createNameLookup(reach.names, options.resolve ?? systemResolver);
  const pool = createConnectionPool();
  const sockets = new Set<net.Socket>();
  /** Keys of connections that are being opened ahead. */
  const warming = new Set<string>();
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

  async function connect(
    target: WireTarget,
    proxy: Proxy | null,
    key: string,
    signal: AbortSignal,
    attempt: ReachTry = reach.begin(target.url),
    progress: ConnectProgress = { unconnected: null },
  ): Promise<Connection> {
    const derived = deriveAbort(signal, closing.signal);
    const at = (stage: ConnectStage | null): void => {
      progress.unconnected = stage === null ? null : () => evidenceAtStage(stage, attempt);
      if (stage === null && proxy === null) attempt.reached();
    };
    try {
      const { socket, peer } = await dial({ ...target, proxy }, { lookup, watch, at }, derived.signal);
      return createConnection(target.url.origin, socket, peer, {
        becameIdle: (connection) => pool.put(key, connection),
        ended: (connection) => pool.remove(key, connection),
      });
    } finally {
      progress.unconnected = null;
      derived[Symbol.dispose]();
    }
  }

  async function idleOrNew(request: WireRequest, proxy: Proxy | null, attempt: ReachTry): Promise<Connection> {
    checkTarget(request);
    const key = keyOf(request, proxy);
    const { guard, signal, progress } = request;
    return pool.take(key, isAdmittedBy(guard)) ?? (await connect(request, proxy, key, signal, attempt, progress));
  }

  function checkTarget({ url, guard }: WireTarget): void {
    if (closing.signal.aborted) throw closing.signal.reason;
    // Behind a proxy, which does the look-up, this is all that can be checked.
    const zone = zoneOfHost(url.hostname);
    if (zone !== null && !guard.admits(zone, null)) throw new AddressRefusedError(url.hostname, zone);
  }

  async function warm(target: WireTarget, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    checkTarget(target);
    const proxy = target.proxy === undefined ? proxyFor(target.url) : target.proxy;
    const key = keyOf(target, proxy);
    if (warming.has(key) || pool.has(key, isAdmittedBy(target.guard))) return;
    warming.add(key);
    try {
      (await connect(target, proxy, key, signal)).wait();
    } finally {
      warming.delete(key);
    }
  }

  async function send(request: WireRequest): Promise<WireAnswer> {
    const { url, signal } = request;
    signal.throwIfAborted();
    const lostBeforeMs = lostMs();
    const attempt = reach.begin(url);
    const explain = (error: unknown, arrived: Arrived): ExchangeError =>
      exchangeErrorOf(closing.signal.aborted ? closing.signal.reason : error, request, {
        ...arrived,
        answerer: request.answerer,
        reach: attempt,
      });

    const proxy = request.proxy === undefined ? proxyFor(url) : request.proxy;
    let connection: Connection;
    try {
      connection = await idleOrNew(request, proxy, attempt);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const lateMs = Math.round(lostMs() - lostBeforeMs);
      throw explain(error, { headArrived: false, reused: false, bytes: 0, lateMs });
    }
    const forwarder = url.protocol === 'http:' ? proxy : null;
    const reused = connection.requests > 0;
    const answer = await connection.send(
      {
        method: request.method,
        path: `${forwarder === null ? '' : url.origin}${url.pathname}${url.search}`,
        headers:
          forwarder === null || forwarder.authorization === null
            ? request.headers
            : { ...request.headers, 'proxy-authorization': forwarder.authorization },
        ...(request.body === undefined ? {} : { body: request.body }),
        lostBeforeMs,
        explain,
      },
      signal,
    );
    if (proxy === null) attempt.reached();
    if (forwarder !== null && answer.status === 407) {
      const refused = explain(new TunnelError(407), { headArrived: true, reused, bytes: 0, lateMs: 0 });
      answer.body.cancel(refused);
      throw refused;
    }
    return { ...answer, reused, zone: connection.peer?.zone ?? null };
  }

  async function close(): Promise<void> {
    closing.abort(new TransportClosedError());
    // TLS within TLS, through a proxy, never says that it is closed when its carrier is destroyed before it.
    const innermostFirst = [...sockets].toReversed();
    const closed = innermostFirst.map(
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
    warm,
    addressesOf: async (url, signal) => {
      if (proxyFor(url) !== null) return [];
      const found = await lookup(withoutBrackets(url.hostname), signal);
      return found.map(({ address }) => address);
    },
    get openSockets() {
      return sockets.size;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** The transport was closed under an exchange. */
class TransportClosedError extends Error {
  override readonly name = 'TransportClosedError';

  constructor() {
    super('the transport was closed');
  }
}

/** A connection may have been opened to an address that another answer, which leads to the same name, may not lead to. */
function isAdmittedBy(guard: AddressGuard): (connection: Connection) => boolean {
  return ({ peer }) => peer === null || guard.admits(peer.zone, peer.address);
}

/** Whatever differs here never shares a connection. */
function keyOf(target: WireTarget, proxy: Proxy | null): string {
  const identity = target.url.protocol === 'https:' ? target.tls.id : '';
  return `${target.url.origin} ${identity} ${proxy?.url?.origin ?? ''}`;
}

function exchangeErrorOf(error: unknown, request: WireRequest, seen: WireCircumstances): ExchangeError {
  if (error instanceof TransportClosedError) {
    return new ExchangeError(error.message, { evidence: { kind: 'aborted' }, phase: request.phase, cause: error });
  }
  const evidence = evidenceOfWireError(error, seen);
  const cause = plainCause(error instanceof DialError ? error.cause : error);
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
