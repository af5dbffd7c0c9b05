import type { IncomingMessage, ServerResponse } from 'node:http';
import { openOptionBag } from '../policy/option-bag.js';
import type { Digest } from '../vocabulary/digest.js';
import { type Answer, textAnswer } from './answer.js';
import { parseRange } from './byte-range.js';
import type { Fault } from './fault.js';
import { createFaultScript, type Place } from './fault-script.js';
import { type Bandwidth, createLink } from './link.js';
import { type Origin, type OriginConnection, type ServerTls, startOrigin } from './origin.js';
import { createRefusal } from './refusal.js';
import { createRequestLog, type LoggedRequest } from './request-log.js';
import { namesOf, parseTarget, type RequestTarget } from './request-target.js';
import { failureAnswer, type Servable, serve, turnAway, type Truth } from './serve.js';
import { isGone } from './send-answer.js';
import { createSignedUrls, type SignedGrant } from './signed-urls.js';

/** What a registry double and a fault proxy have in common. */
export interface FaultServerOptions {
  /** What goes wrong from the start; default nothing. */
  readonly faults?: readonly Fault[];
  /** Blobs are redirected to a second origin, by signed URLs that hold for `expiresMs` (default 10 min); default false. */
  readonly redirects?: boolean | RedirectOptions;
  /** A shaped network to the clients; default: as fast as it goes. */
  readonly bandwidth?: Bandwidth;
  /** Serves HTTPS. */
  readonly tls?: ServerTls;
  /** The address to listen on, default `127.0.0.1`. */
  readonly listen?: string;
  /** Default 0: any free one. */
  readonly port?: number;
}

/** How blobs are redirected. */
export interface RedirectOptions {
  /** How long a signed URL holds, in milliseconds; default 10 min, `Infinity` is allowed. */
  readonly expiresMs?: number;
  /** Default 307. */
  readonly status?: 301 | 302 | 303 | 307 | 308;
}

/** A registry double or fault proxy that is running. */
export interface FaultServer {
  /** `127.0.0.1:40001`: what an image name or a registry prefix starts with. */
  readonly host: string;
  readonly url: string;
  /** The origin that blobs are redirected to. */
  readonly storageUrl: string;
  /** Every request, in the order of arrival; entries go on changing until they have ended. */
  readonly requests: readonly LoggedRequest[];
  /** Body bytes sent for manifests and blobs, also from the storage. */
  readonly bytesSent: number;
  /** Connections accepted so far, those of the storage too. */
  readonly connections: number;
  readonly openConnections: number;
  readonly faults: readonly Fault[];
  /**
   * Puts other faults in force, from the next request on; what is being sent goes on as it began.
   * Their counts and times start anew. With faults of the connection, kept-alive idle ones are closed.
   * Resolves once a port is closed, or open again, as the faults say.
   *
   * @throws {InvalidOptionError} when a fault is malformed; the earlier ones then stay in force
   */
  setFaults(faults: readonly Fault[]): Promise<void>;
  /** Resets every open connection, whatever is being sent on it. */
  resetConnections(): void;
  /** Ends everything at once: ports, connections, timers. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The names of the options above, for the bags of those who add to them. */
export const faultServerKeys: readonly string[] = ['faults', 'redirects', 'bandwidth', 'tls', 'listen', 'port'];

/** A request that arrived, and what can be done with it. */
export interface Arrival {
  readonly servable: Servable;
  readonly request: IncomingMessage;
  readonly target: RequestTarget;
  /** For the storage: what its URL grants, or why it grants nothing. */
  readonly grant: SignedGrant | 'expired' | 'signature' | null;
  /** Answers it, as true as the faults let it be. */
  serve(truth: Truth): Promise<void>;
  /** Answers it without any fault. */
  turnAway(answer: Answer): Promise<void>;
}

/** The parts of a running server that its answers are made with. */
export interface FaultServerKit {
  readonly registry: Origin;
  readonly storage: Origin;
  readonly redirectsBlobs: boolean;
  redirect(grant: SignedGrant, expired: boolean): Answer;
  /** Whether an expired URL of this blob was refused before. */
  wasRefused(repository: string, digest: Digest): boolean;
}

const defaultExpiresMs = 600_000;

/**
 * Starts a registry's origin and its storage's, and gives every request to what `createAnswerer` returns.
 *
 * @param isTokenPath whether tokens are issued there too
 */
export async function startFaultServer(
  options: FaultServerOptions,
  createAnswerer: (kit: FaultServerKit) => (arrival: Arrival) => Promise<void>,
  isTokenPath: (path: string) => boolean = () => false,
): Promise<FaultServer> {
  const bag = openOptionBag('', options, faultServerKeys);
  const listen = bag.string('listen') ?? '127.0.0.1';
  const port = bag.integer('port', { min: 0, max: 65_535 }) ?? 0;
  const redirectsBlobs = options.redirects !== undefined && options.redirects !== false;
  const redirectBag = openOptionBag(
    'redirects',
    redirectsBlobs && options.redirects !== true ? options.redirects : {},
    ['expiresMs', 'status'],
  );
  const redirectStatus = redirectBag.integer('status', { min: 301, max: 308 }) ?? 307;
  const expiresMs = redirectBag.durationMs('expiresMs', { infinity: true }) ?? defaultExpiresMs;
  const bytesFrom: Place = redirectsBlobs ? 'storage' : 'registry';
  const link = createLink(options.bandwidth);
  const log = createRequestLog();
  let script = createFaultScript(options.faults ?? []);

  const startPlace = (place: Place, atPort: number): Promise<Origin> =>
    startOrigin({
      listen,
      port: atPort,
      tls: options.tls,
      link,
      admit: () => script.strikeConnection(place),
      handle: (request, response, connection) => void handle(place, request, response, connection),
    });
  const registry = await startPlace('registry', port);
  const storage = await startPlace('storage', 0).catch(async (error: unknown) => {
    await registry.close();
    throw error;
  });
  const signedUrls = createSignedUrls(storage.url, expiresMs);
  const answerer = createAnswerer({
    registry,
    storage,
    redirectsBlobs,
    redirect: (grant, expired) =>
      textAnswer(redirectStatus, 'application/octet-stream', '', { location: signedUrls.sign(grant, { expired }) }),
    wasRefused: (repository, digest) => signedUrls.wasRefused(repository, digest),
  });
  const refusal = createRefusal({ registry, storage });
  await refusal.follow(script);

  async function handle(
    place: Place,
    request: IncomingMessage,
    response: ServerResponse,
    connection: OriginConnection,
  ): Promise<void> {
    const method = request.method ?? 'GET';
    const url = request.url ?? '/';
    const path = url.split('?')[0] ?? url;
    const target = targetOf(place, path);
    const grant = place === 'storage' ? signedUrls.check(method, url) : null;
    const range = parseRange(request.headers.range);
    const open = log.open({
      ...(grant !== null && typeof grant === 'object'
        ? { repository: grant.repository, object: grant.digest }
        : namesOf(target)),
      kind: place === 'storage' ? 'storage' : target.kind,
      method,
      path,
      range: range === 'malformed' ? null : range,
      authorization: authorizationKind(request.headers.authorization),
      connection: connection.id,
    });
    const servable: Servable = {
      response,
      connection,
      open,
      method,
      target: url,
      place,
      bytesFrom,
      ...namedIn(open.logged),
    };
    try {
      await answerer({
        servable,
        request,
        target,
        grant,
        serve: (truth) => serve(servable, script, link, truth),
        turnAway: (answer) => turnAway(servable, answer),
      });
    } catch (error) {
      const gone = isGone(response);
      if (response.headersSent || gone) connection.reset();
      else await turnAway(servable, failureAnswer(error));
      open.ended(gone ? 'cut-by-client' : 'cut-by-fault');
    }
  }

  function targetOf(place: Place, path: string): RequestTarget {
    if (place === 'storage') return { kind: 'unknown' };
    return isTokenPath(path) ? { kind: 'token' } : parseTarget(path);
  }

  async function close(): Promise<void> {
    refusal.close();
    await Promise.all([registry.close(), storage.close()]);
  }

  return {
    host: registry.host,
    url: registry.url,
    storageUrl: storage.url,
    requests: log.requests,
    get bytesSent() {
      return log.requests.reduce((sum, { kind, bytesSent }) => sum + (isContent(kind) ? bytesSent : 0), 0);
    },
    get connections() {
      return registry.connections + storage.connections;
    },
    get openConnections() {
      return registry.openConnections + storage.openConnections;
    },
    get faults() {
      return script.faults;
    },
    setFaults: async (faults) => {
      script = createFaultScript(faults);
      signedUrls.forgetRefused();
      await refusal.follow(script);
    },
    resetConnections: () => {
      registry.resetConnections();
      storage.resetConnections();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function namedIn(logged: LoggedRequest): Pick<Servable, 'kind' | 'repository' | 'object' | 'range'> {
  const { kind, repository, object, range } = logged;
  return { kind, repository, object, range };
}

function isContent(kind: LoggedRequest['kind']): boolean {
  return kind === 'manifest' || kind === 'blob' || kind === 'storage';
}

function authorizationKind(header: string | undefined): LoggedRequest['authorization'] {
  const scheme = header?.split(' ')[0]?.toLowerCase();
  if (scheme === undefined) return 'none';
  return scheme === 'basic' || scheme === 'bearer' ? scheme : 'other';
}
