import { once } from 'node:events';
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { openOptionBag } from '../policy/option-bag.js';
import { type Answer, storageErrorAnswer } from './answer.js';
import { type ByteRange, parseContentRange, rangeHeader } from './byte-range.js';
import {
  type Arrival,
  type FaultServer,
  faultServerKeys,
  type FaultServerKit,
  type FaultServerOptions,
  startFaultServer,
} from './fault-server.js';
import { isGone } from './send-answer.js';
import type { SignedGrant } from './signed-urls.js';

/** What a fault proxy is started with. */
export interface FaultProxyOptions extends FaultServerOptions {
  /** The certificate authority of the registry behind it, in PEM. */
  readonly ca?: string | Uint8Array;
}

/** A proxy before a real registry that makes it fail. */
export interface FaultProxy extends FaultServer {
  /** The registry behind it. */
  readonly upstream: string;
}

/** They belong to one connection, and the other one has its own. */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Starts a proxy that passes everything on to a registry, pushes too, and fails as the faults say.
 * Redirects and token services of that registry at its own origin lead through the proxy as well; those elsewhere do not.
 * A registry that cannot be reached shows as a connection that is reset, one that ends in the middle as one that is closed.
 *
 * @param upstream the registry's origin, such as `http://127.0.0.1:5000`
 * @throws {InvalidOptionError} when an option is unknown or malformed
 */
export async function startFaultProxy(upstream: string, options: FaultProxyOptions = {}): Promise<FaultProxy> {
  openOptionBag('', options, [...faultServerKeys, 'ca']);
  const { ca, ...serverOptions } = options;
  const origin = parseOrigin(upstream);
  const secure = origin.protocol === 'https:';
  const agent = secure
    ? new HttpsAgent({ keepAlive: true, ...(ca === undefined ? {} : { ca: Buffer.from(ca) }) })
    : new HttpAgent({ keepAlive: true });

  /** Where the registry says that its own origin issues tokens. */
  const tokenPaths = new Set<string>();

  /** Sends a request on, and resolves with the headers of the answer. */
  async function forward(
    method: string,
    target: string,
    headers: Readonly<Record<string, string | readonly string[] | undefined>>,
    body: IncomingMessage | null,
    arrival: Arrival,
  ): Promise<IncomingMessage> {
    const request = (secure ? httpsRequest : httpRequest)(new URL(target, origin), {
      method,
      headers: {
        ...Object.fromEntries(
          Object.entries(headers).filter(([name, value]) => value !== undefined && !hopByHop.has(name)),
        ),
        host: origin.host,
      },
      agent,
    });
    // What comes after the first error adds nothing to it.
    request.on('error', () => undefined);
    const { response } = arrival.servable;
    const leave = (): void => {
      request.destroy();
    };
    response.once('close', leave);
    try {
      const answered = once(request, 'response') as Promise<[IncomingMessage]>;
      if (body === null) request.end();
      else body.pipe(request);
      const [answer] = await answered;
      answer.on('error', () => undefined);
      // The answer, not the request: destroying that would take a connection away that is in use again.
      response.once('close', () => answer.destroy());
      if (method === 'HEAD') answer.resume();
      return answer;
    } finally {
      response.off('close', leave);
    }
  }

  /** An answer of the registry, its own addresses replaced by those of the proxy. */
  function translated(answer: IncomingMessage, kit: FaultServerKit): Answer {
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(answer.headers)) {
      if (value !== undefined && !hopByHop.has(name)) headers[name] = Array.isArray(value) ? value.join(', ') : value;
    }
    for (const name of ['location', 'www-authenticate']) {
      const value = headers[name];
      if (value !== undefined) headers[name] = value.replaceAll(origin.origin, kit.registry.url);
    }
    const realm = /realm="([^"]+)"/i.exec(headers['www-authenticate'] ?? '')?.[1] ?? '';
    if (realm.startsWith(`${kit.registry.url}/`)) tokenPaths.add(new URL(realm).pathname);
    const range = parseContentRange(headers['content-range']);
    const length = headers['content-length'] === undefined ? null : Number(headers['content-length']);
    return {
      status: answer.statusCode ?? 502,
      headers,
      body: {
        start: range?.span.from ?? 0,
        length,
        total: range === null ? length : range.total,
        open: () => answer as AsyncIterable<Uint8Array>,
      },
    };
  }

  async function pass(arrival: Arrival, kit: FaultServerKit): Promise<void> {
    const { servable, request, target } = arrival;
    const { method } = servable;
    const isRead = method === 'GET' || method === 'HEAD';
    const get = async (how: string, range: ByteRange | null): Promise<Answer> => {
      const { range: _asked, ...headers } = request.headers;
      const ranged = range === null ? headers : { ...headers, range: rangeHeader(range) };
      // A range that the log could not read is the registry's to judge.
      const sent = servable.range === null ? request.headers : ranged;
      return translated(await forward(how, servable.target, sent, isRead ? null : request, arrival), kit);
    };
    const redirect = async (expired: boolean): Promise<Answer> => {
      // The registry itself says whether this client may have this blob.
      const found = await get('HEAD', null);
      if (found.status !== 200 || target.kind !== 'blob' || target.digest === null) return get(method, servable.range);
      const { authorization } = request.headers;
      return kit.redirect({ repository: target.repository, digest: target.digest, authorization }, expired);
    };
    const isBlobRead = target.kind === 'blob' && target.digest !== null && method === 'GET';
    if (!isRead && target.kind !== 'token') {
      await arrival.turnAway(await get(method, null));
      return;
    }
    await arrival.serve({
      answer: (range) => (isBlobRead && kit.redirectsBlobs ? redirect(false) : get(method, range)),
      expiredRedirect: () => (isBlobRead && !kit.wasRefused(target.repository, target.digest) ? redirect(true) : null),
    });
  }

  async function passFromStorage(arrival: Arrival, grant: SignedGrant, kit: FaultServerKit): Promise<void> {
    await arrival.serve({
      answer: async (range) => {
        const headers = {
          'accept-encoding': 'identity',
          authorization: grant.authorization,
          ...(range === null ? {} : { range: rangeHeader(range) }),
        };
        const path = `/v2/${grant.repository}/blobs/${grant.digest}`;
        return translated(await forward('GET', path, headers, null, arrival), kit);
      },
      expiredRedirect: () => null,
    });
  }

  async function answer(arrival: Arrival, kit: FaultServerKit): Promise<void> {
    const { servable, grant } = arrival;
    if (servable.place === 'registry') await pass(arrival, kit);
    else if (grant === 'expired')
      await arrival.turnAway(storageErrorAnswer(403, 'AccessDenied', 'Request has expired'));
    else if (grant === 'signature' || grant === null) {
      await arrival.turnAway(storageErrorAnswer(403, 'SignatureDoesNotMatch', 'this storage signed no such URL'));
    } else await passFromStorage(arrival, grant, kit);
  }

  const server = await startFaultServer(
    serverOptions,
    (kit) => async (arrival) => {
      const { response, connection, open } = arrival.servable;
      try {
        await answer(arrival, kit);
      } catch {
        // The registry behind cannot be reached, or left in the middle: so does the proxy.
        open.ended(isGone(response) ? 'cut-by-client' : 'cut-by-fault');
        if (response.headersSent) response.socket?.destroySoon();
        else connection.reset();
      }
    },
    (path) => tokenPaths.has(path),
  );
  const closeServer = server.close;
  const close = async (): Promise<void> => {
    await closeServer();
    agent.destroy();
  };
  return Object.assign(server, { upstream: origin.origin, close, [Symbol.asyncDispose]: close });
}

function parseOrigin(upstream: string): URL {
  const url = URL.canParse(upstream) ? new URL(upstream) : null;
  if (
    url === null ||
    !/^https?:$/.test(url.protocol) ||
    url.pathname !== '/' ||
    url.username !== '' ||
    url.search !== ''
  ) {
    throw new InvalidOptionError('upstream', 'must be the origin of a registry, such as http://127.0.0.1:5000');
  }
  return url;
}
