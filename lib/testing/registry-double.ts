import type { IncomingMessage, ServerResponse } from 'node:http';
import { openOptionBag } from '../policy/option-bag.js';
import { InvalidOptionError } from '../errors/invalid-option-error.js';
import type { Digest } from '../vocabulary/digest.js';
import { type Answer, errorAnswer, jsonAnswer, partBody, storageErrorAnswer, textAnswer, wholeBody } from './answer.js';
import { type ByteRange, contentRange, parseRange, spanOf } from './byte-range.js';
import type { Fault } from './fault.js';
import { createFaultScript, type Place } from './fault-script.js';
import { type Bandwidth, createLink } from './link.js';
import { type OriginConnection, type ServerTls, startOrigin } from './origin.js';
import { createRefusal } from './refusal.js';
import { createGate, type RegistryAuth } from './registry-auth.js';
import { createRegistryContent } from './registry-content.js';
import { createRequestLog, type LoggedRequest } from './request-log.js';
import { namesOf, parseTarget, type RequestTarget, tokenPath } from './request-target.js';
import { failureAnswer, type Servable, serve, turnAway } from './serve.js';
import { createSignedUrls } from './signed-urls.js';
import { type Violation, violationOf } from './strictness.js';
import type { TestBlob, TestDocument, TestImage } from './test-image.js';

/** What a registry double is started with. */
export interface RegistryDoubleOptions {
  /** By name: `{ 'aptible/redis:3.0': seededImage() }`. */
  readonly images?: Readonly<Record<string, TestImage>>;
  readonly faults?: readonly Fault[];
  /** Default: everybody is let in, and sending credentials is a violation. */
  readonly auth?: RegistryAuth;
  /** Blobs are redirected to a second origin, by signed URLs that hold for `expiresMs` (default 10 min); default false. */
  readonly redirects?: boolean | { readonly expiresMs?: number; readonly status?: 301 | 302 | 303 | 307 | 308 };
  readonly bandwidth?: Bandwidth;
  readonly tls?: ServerTls;
  /** The address to listen on, default `127.0.0.1`. */
  readonly listen?: string;
  /** Default 0: any free one. */
  readonly port?: number;
  /** Requests that break a rule are refused with 400; `false` only records them, for clients of others. Default true. */
  readonly strict?: boolean;
}

/** A registry in this process, over real HTTP. */
export interface RegistryDouble {
  /** `127.0.0.1:40001`: what an image name or a registry prefix starts with. */
  readonly host: string;
  readonly url: string;
  /** The origin that blobs are redirected to. */
  readonly storageUrl: string;
  /** Every request, in the order of arrival; entries go on changing until they have ended. */
  readonly requests: readonly LoggedRequest[];
  /** What clients did that they should not have done. */
  readonly violations: readonly Violation[];
  /** Body bytes sent for manifests, blobs and from the storage. */
  readonly bytesSent: number;
  /** Connections accepted so far, those of the storage too. */
  readonly connections: number;
  readonly openConnections: number;
  readonly faults: readonly Fault[];
  /**
   * Puts other faults in force, from the next request on; what is being sent goes on as it began.
   * Their counts and times start anew. Resolves once a port is closed or open again as they say.
   *
   * @throws {InvalidOptionError} when a fault is malformed
   */
  setFaults(faults: readonly Fault[]): Promise<void>;
  /** @throws {InvalidOptionError} when the name is malformed */
  putImage(name: string, image: TestImage): void;
  removeImage(name: string): void;
  /** Loses a document or blob, until an image that has it is put again. */
  removeDigest(digest: Digest): void;
  /** Replaces who is let in; tokens issued so far are worth nothing any more. */
  setAuth(auth: RegistryAuth | null): void;
  revokeTokens(): void;
  /** Resets every open connection. */
  resetConnections(): void;
  /** Ends everything at once: ports, connections, timers. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const defaultExpiresMs = 600_000;
const maxFormBytes: number = 64 * 1024;

/**
 * Starts a registry in this process that serves the images given, and fails as the faults say.
 * It is stricter than real registries: see `violations`.
 *
 * @throws {InvalidOptionError} when an option is unknown or malformed
 */
export async function startRegistryDouble(options: RegistryDoubleOptions = {}): Promise<RegistryDouble> {
  const bag = openOptionBag('', options, [
    'images',
    'faults',
    'auth',
    'redirects',
    'bandwidth',
    'tls',
    'listen',
    'port',
    'strict',
  ]);
  const listen = bag.string('listen') ?? '127.0.0.1';
  const port = bag.integer('port', { min: 0, max: 65_535 }) ?? 0;
  const strict = bag.boolean('strict') ?? true;
  const redirects = typeof options.redirects === 'object' ? options.redirects : {};
  const redirectsBlobs = options.redirects !== undefined && options.redirects !== false;
  const redirectStatus = redirects.status ?? 307;
  const bytesFrom: Place = redirectsBlobs ? 'storage' : 'registry';
  const link = createLink(options.bandwidth);
  const log = createRequestLog();
  const violations: Violation[] = [];
  const content = createRegistryContent();
  for (const [name, image] of Object.entries(options.images ?? {})) content.put(name, image);

  let script = createFaultScript(options.faults ?? []);
  let auth: RegistryAuth | null = options.auth ?? null;

  const registry = await startOrigin({
    listen,
    port,
    tls: options.tls,
    link,
    admit: () => script.strikeConnection('registry'),
    handle: (request, response, connection) => void handle('registry', request, response, connection),
  });
  const storage = await startOrigin({
    listen,
    port: 0,
    tls: options.tls,
    link,
    admit: () => script.strikeConnection('storage'),
    handle: (request, response, connection) => void handle('storage', request, response, connection),
  }).catch(async (error: unknown) => {
    await registry.close();
    throw error;
  });
  const signedUrls = createSignedUrls(storage.url, redirects.expiresMs ?? defaultExpiresMs);
  let gate = createGate(auth, registry.host, `${registry.url}${tokenPath}`);
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
    const target: RequestTarget = place === 'storage' ? { kind: 'unknown' } : parseTarget(path);
    const grant = place === 'storage' ? signedUrls.check(method, url) : null;
    const named =
      grant !== null && typeof grant === 'object'
        ? { repository: grant.repository, object: grant.digest as string }
        : namesOf(target);
    const range = parseRange(request.headers.range);
    const open = log.open({
      kind: place === 'storage' ? 'storage' : target.kind,
      method,
      path,
      repository: named.repository,
      object: named.object,
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
      kind: open.logged.kind,
      repository: named.repository,
      object: named.object,
      range: open.logged.range,
    };
    try {
      await answer(servable, request, target, grant);
    } catch (error) {
      if (response.headersSent) connection.reset();
      else await turnAway(servable, failureAnswer(error));
    }
  }

  async function answer(
    servable: Servable,
    request: IncomingMessage,
    target: RequestTarget,
    grant: ReturnType<typeof signedUrls.check> | null,
  ): Promise<void> {
    const { method, place, open } = servable;
    const origin = place === 'storage' ? storage : registry;
    const broken =
      grant === 'signature'
        ? ({ rule: 'signature', detail: 'not a URL that this storage was asked to sign' } as const)
        : violationOf({
            method,
            headers: request.headers,
            place,
            target,
            hosts: [origin.host, origin.host.replace(/^.*:/, 'localhost:')],
            authKind: auth?.kind ?? 'none',
          });
    if (broken !== null) {
      violations.push({ ...broken, request: open.logged });
      const lenient = broken.rule === 'accept-encoding' || broken.rule === 'accept' || broken.rule === 'host';
      if (strict || !lenient) {
        await turnAway(servable, refusalAnswer(place, broken.rule, broken.detail, target));
        return;
      }
    }

    if (place === 'storage') {
      if (grant === null || typeof grant === 'string') {
        await turnAway(servable, storageErrorAnswer(403, 'AccessDenied', 'Request has expired'));
        return;
      }
      const { repository, digest } = grant;
      await serve(servable, script, link, {
        answer: (range) => {
          const blob = content.blob(repository, digest);
          return blob === null
            ? storageErrorAnswer(404, 'NoSuchKey', 'The specified key does not exist.')
            : blobAnswer(blob, range, 'storage');
        },
        expiredRedirect: () => null,
      });
      return;
    }

    if (target.kind === 'token') {
      const form = new URLSearchParams(method === 'POST' ? await readForm(request) : '');
      const issued = (): Answer =>
        gate.issue(method, new URL(servable.target, registry.url), request.headers.authorization, form);
      await serve(servable, script, link, { answer: issued, expiredRedirect: () => null });
      return;
    }

    const admission = gate.admit(request.headers.authorization, servable.repository);
    if (admission.kind === 'refused') {
      await turnAway(servable, admission.answer);
      return;
    }
    await serve(servable, script, link, {
      answer: (range) => truth(target, range, method, request.headers.accept),
      expiredRedirect: () => {
        if (target.kind !== 'blob' || target.digest === null || method !== 'GET') return null;
        if (signedUrls.wasRefused(target.repository, target.digest)) return null;
        return redirectAnswer(target.repository, target.digest, true);
      },
    });
  }

  function truth(target: RequestTarget, range: ByteRange | null, method: string, accept: string | undefined): Answer {
    switch (target.kind) {
      case 'ping':
        return jsonAnswer(200, {}, { 'docker-distribution-api-version': 'registry/2.0' });
      case 'catalog':
        return jsonAnswer(200, { repositories: content.repositories });
      case 'tags':
        return content.hasRepository(target.repository)
          ? jsonAnswer(200, { name: target.repository, tags: content.tags(target.repository) })
          : errorAnswer(404, 'NAME_UNKNOWN', 'repository name not known to registry');
      case 'manifest': {
        const document = content.document(target.repository, target.reference);
        return document === null || !isAccepted(document.mediaType, accept)
          ? errorAnswer(404, 'MANIFEST_UNKNOWN', 'manifest unknown')
          : documentAnswer(document);
      }
      case 'blob': {
        const blob = target.digest === null ? null : content.blob(target.repository, target.digest);
        if (blob === null) return errorAnswer(404, 'BLOB_UNKNOWN', 'blob unknown to registry');
        return redirectsBlobs && method === 'GET'
          ? redirectAnswer(target.repository, blob.digest, false)
          : blobAnswer(blob, range, 'registry');
      }
      case 'token':
      case 'unknown':
        return errorAnswer(404, 'UNSUPPORTED', 'no such path');
    }
  }

  function redirectAnswer(repository: string, digest: Digest, expired: boolean): Answer {
    const location = signedUrls.sign({ repository, digest, authorization: undefined }, { expired });
    return textAnswer(redirectStatus, 'application/octet-stream', '', { location });
  }

  return {
    host: registry.host,
    url: registry.url,
    storageUrl: storage.url,
    requests: log.requests,
    violations,
    get bytesSent() {
      return log.requests.reduce((sum, { kind, bytesSent }) => sum + (kind === 'token' ? 0 : bytesSent), 0);
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
    setFaults: (faults) => {
      script = createFaultScript(faults);
      return refusal.follow(script);
    },
    putImage: (name, image) => {
      content.put(name, image);
    },
    removeImage: (name) => {
      content.remove(name);
    },
    removeDigest: (digest) => {
      content.lose(digest);
    },
    setAuth: (next) => {
      auth = next;
      gate = createGate(auth, registry.host, `${registry.url}${tokenPath}`);
    },
    revokeTokens: () => {
      gate.revokeTokens();
    },
    resetConnections: () => {
      registry.resetConnections();
      storage.resetConnections();
    },
    close,
    [Symbol.asyncDispose]: close,
  };

  async function close(): Promise<void> {
    refusal.close();
    await Promise.all([registry.close(), storage.close()]);
  }
}

function documentAnswer(document: TestDocument): Answer {
  return {
    status: 200,
    headers: {
      'content-type': document.mediaType,
      'content-length': String(document.bytes.length),
      'docker-content-digest': document.digest,
      etag: `"${document.digest}"`,
    },
    body: wholeBody(document.bytes),
  };
}

function blobAnswer(blob: TestBlob, range: ByteRange | null, place: Place): Answer {
  const span = spanOf(range, blob.sizeBytes);
  if (span === null) {
    const unsatisfied =
      place === 'storage'
        ? storageErrorAnswer(416, 'InvalidRange', 'The requested range is not satisfiable')
        : errorAnswer(416, 'SIZE_INVALID', 'the range begins behind the end');
    return { ...unsatisfied, headers: { ...unsatisfied.headers, 'content-range': `bytes */${blob.sizeBytes}` } };
  }
  return {
    status: range === null ? 200 : 206,
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(span.to - span.from),
      'accept-ranges': 'bytes',
      etag: `"${blob.digest}"`,
      ...(range === null ? {} : { 'content-range': contentRange(span, blob.sizeBytes) }),
      ...(place === 'storage' ? {} : { 'docker-content-digest': blob.digest }),
    },
    body: partBody(span, blob.sizeBytes, (from, to) => blob.read(from, to)),
  };
}

function refusalAnswer(place: Place, rule: Violation['rule'], detail: string, target: RequestTarget): Answer {
  if (place === 'storage') {
    if (rule === 'authorization') {
      return storageErrorAnswer(400, 'InvalidArgument', 'Only one auth mechanism allowed');
    }
    if (rule === 'signature') return storageErrorAnswer(403, 'SignatureDoesNotMatch', detail);
    return storageErrorAnswer(400, 'InvalidRequest', detail);
  }
  switch (rule) {
    case 'method':
      return errorAnswer(405, 'UNSUPPORTED', detail);
    case 'path':
      return errorAnswer(404, 'UNSUPPORTED', detail);
    case 'repository':
      return errorAnswer(400, 'NAME_INVALID', detail);
    case 'reference':
      return errorAnswer(400, target.kind === 'blob' ? 'DIGEST_INVALID' : 'MANIFEST_INVALID', detail);
    default:
      return errorAnswer(400, 'UNSUPPORTED', detail);
  }
}

/** As registries read it: a manifest is only sent to who can read its type. */
function isAccepted(mediaType: string, accept: string | undefined): boolean {
  const accepted = (accept ?? '*/*').split(',').map((part) => part.split(';')[0]?.trim());
  return accepted.includes(mediaType) || accepted.includes('*/*');
}

function authorizationKind(header: string | undefined): LoggedRequest['authorization'] {
  const scheme = header?.split(' ')[0]?.toLowerCase();
  if (scheme === undefined) return 'none';
  return scheme === 'basic' || scheme === 'bearer' ? scheme : 'other';
}

async function readForm(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > maxFormBytes) throw new InvalidOptionError('form', `of a token request is over ${maxFormBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
