import { createLog } from '../log/log.js';
import { maxManifestBytes, manifestMediaTypes } from '../image/manifest.js';
import { parseDigest } from '../image/digest.js';
import { credentialIdentity, type CredentialSource } from '../registries/credentials.js';
import type { Registry } from '../registries/registry.js';
import type { Digest } from '../vocabulary/digest.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import { anyAddress } from './address-guard.js';
import type { Authorization } from './authorize.js';
import { exchangeAuthorized, type AuthorizedExchange } from './authorized-exchange.js';
import { readErrorBody } from './error-body.js';
import { startFirstByteLimit } from './first-byte-limit.js';
import { sendFollowing, type FollowedAnswer, type FollowedRequest } from './follow.js';
import { isMissing, openForeignBlob } from './foreign-blob.js';
import { contentLengthOf, type Headers } from './headers.js';
import type { BlobAnswer } from './open-blob.js';
import { openOwnBlob } from './own-blob.js';
import type { WantedBytes } from './range.js';
import { readDocument } from './read-document.js';
import { stateOf } from './registry-state.js';
import { withinRequestMs, type RequestProgress } from './request-limit.js';
import { readCredentials } from './standing.js';
import { statusError } from './status-error.js';
import { ledIdentity, ownIdentity } from './tls-identity.js';
import type { Transport } from './transport.js';
import { userAgent } from './user-agent.js';

const log = createLog('registry');

export type { BlobAnswer } from './open-blob.js';
export type { BlobBody } from './blob-body.js';

/** What every exchange is part of. */
export interface ExchangeContext {
  readonly signal: AbortSignal;
  readonly pullId: string;
  /** Milliseconds for every token and manifest request, from when it holds a connection until its answer is read whole. */
  readonly requestMs: number;
  /**
   * Told `true` whenever the exchange comes to hold a connection, and `false` when it has to wait in our own queue for
   * one: limits of the caller should run between the two.
   */
  readonly onConnection?: (holds: boolean) => void;
}

/** A manifest to be read. */
export interface ManifestRequest extends ExchangeContext {
  readonly repository: string;
  /** A tag or a digest. */
  readonly reference: string;
}

/** A manifest as the registry sent it; nothing about it is verified yet. */
export interface ManifestAnswer {
  readonly bytes: Uint8Array;
  readonly mediaType: string | null;
  /** Docker-Content-Digest, where it is a digest at all. */
  readonly digestHeader: Digest | null;
}

/** What the head of a manifest's answer says. */
export interface ManifestHead {
  readonly digest: Digest | null;
  readonly mediaType: string | null;
  readonly size: number | null;
}

/** A blob to be opened. */
export interface BlobRequest extends ExchangeContext {
  readonly repository: string;
  readonly digest: Digest;
  /** What the descriptor says. */
  readonly size: number;
  /** The offset of the first byte wanted. */
  readonly from: number;
  /**
   * The offset after the last byte wanted. Default: the end of the blob. The answer may end before it, and never after
   * it, unless it brings the whole blob.
   */
  readonly to?: number;
  /** Milliseconds from when the blob request holds a connection until its first body byte; redirects count, tokens do not. */
  readonly firstByteMs: number;
  /** Other places the descriptor names; asked only where `allowForeignUrls` holds and the registry lacks the blob. */
  readonly urls?: readonly string[];
}

/**
 * Speaks with one registry. Every failure is an `ExchangeError`, except the reason of the caller's own signal.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
 */
export interface RegistryClient {
  readonly registry: Registry;
  /** What credentials requests go out with, in a word that tells nothing about them. */
  credentialIdentity(signal: AbortSignal): Promise<string>;
  getManifest(request: ManifestRequest): Promise<ManifestAnswer>;
  headManifest(request: ManifestRequest): Promise<ManifestHead>;
  /** Resolves when the first body byte has arrived, or the end of an empty blob. */
  openBlob(request: BlobRequest): Promise<BlobAnswer>;
  /**
   * Opens a connection to the registry and leaves it for a request that may follow; it is closed again when none comes
   * within some seconds. Where one waits already, nothing happens. Sends no request, and never rejects.
   */
  warm(signal: AbortSignal): Promise<void>;
}

/** What one pull brings to a client. */
export interface RegistryClientOptions {
  /** Instead of the registry's own. */
  readonly credentials?: CredentialSource;
  /** Credentials that the registry had accepted before are rejected, also after they were read again. */
  readonly onCredentialsRejected?: (pullId: string, message: string) => void;
}

/** Clients of one registry on one transport share its connections, its tokens and the limit of its connections. */
export function createRegistryClient(
  registry: Registry,
  transport: Transport,
  options: RegistryClientOptions = {},
): RegistryClient {
  const state = stateOf(transport, registry);
  const source = options.credentials ?? registry.credentials;
  const tls = ownIdentity(registry.tls);
  const ledTls = ledIdentity(registry.tls);

  /** One request and its redirects. */
  async function follow(
    path: string,
    method: 'GET' | 'HEAD',
    phase: RegistryPhase,
    headers: Readonly<Record<string, string>>,
    authorization: Authorization | null,
    context: Pick<FollowedRequest, 'pullId' | 'signal' | 'progress' | 'from' | 'onRedirect'>,
  ): Promise<FollowedAnswer> {
    const url = new URL(`${registry.baseUrl}/v2/${path}`);
    // A repository or reference that is not in the grammar must not reach another part of the API.
    if (url.pathname !== `/v2/${path}`) throw new RangeError('not a repository, tag or digest');
    return sendFollowing(transport, {
      url,
      method,
      headers: { accept: '*/*', 'accept-encoding': 'identity', 'user-agent': userAgent, ...headers },
      authorization: authorization?.header ?? null,
      tls,
      ledTls,
      // The operator has named it: it may be anywhere.
      guard: anyAddress,
      isPrivate: registry.isPrivate,
      answerer: 'registry',
      phase,
      ...context,
    });
  }

  function exchange<T>(
    request: ExchangeContext & { readonly repository: string },
    phase: RegistryPhase,
    ways: Pick<AuthorizedExchange<T>, 'shortcut' | 'attempt'>,
  ): Promise<T> {
    return exchangeAuthorized(transport, state, {
      registry,
      source,
      repository: request.repository,
      phase,
      pullId: request.pullId,
      requestMs: request.requestMs,
      signal: request.signal,
      ...ways,
      onConnection: (holds) => request.onConnection?.(holds),
      onCredentialsRejected: (message) => options.onCredentialsRejected?.(request.pullId, message),
    });
  }

  /** A manifest request, within its limit. */
  function requestManifest<T>(
    request: ManifestRequest,
    method: 'GET' | 'HEAD',
    take: (answer: FollowedAnswer, progress: RequestProgress) => Promise<T>,
  ): Promise<T> {
    const path = `${request.repository}/manifests/${request.reference}`;
    const headers = { accept: manifestMediaTypes.join(', ') };
    const attempt: AuthorizedExchange<T>['attempt'] = async (authorization) => {
      const slot = await state.slots.acquire(request.signal, request.onConnection);
      try {
        const paced = state.pace.count();
        return await withinRequestMs(request.requestMs, request.signal, async (signal, progress) => {
          const answer = await follow(path, method, 'metadata', headers, authorization, {
            pullId: request.pullId,
            signal,
            progress,
          });
          if (answer.status !== 429) paced.answered();
          if (answer.status === 200) return { done: await take(answer, progress) };
          const { status, zone, answerer } = answer;
          const body = await readErrorBody(answer.body, [...(authorization?.secrets ?? []), ...answer.secrets]);
          if ((status === 401 || status === 403) && answerer === 'registry') {
            return { denied: { status, headers: answer.headers, body, zone } };
          }
          throw statusError({ status, headers: answer.headers, from: answerer, phase: 'metadata', body });
        });
      } catch (error) {
        state.pace.failed(error);
        throw error;
      } finally {
        slot.release();
      }
    };
    return exchange(request, 'metadata', { attempt });
  }

  return {
    registry,
    credentialIdentity: async (signal) =>
      credentialIdentity(await readCredentials(source, registry, 'metadata', { signal })),
    getManifest: (request) =>
      requestManifest(request, 'GET', async (answer, progress) => ({
        bytes: await readDocument(answer, maxManifestBytes, progress),
        mediaType: answer.headers.get('content-type'),
        digestHeader: digestHeaderOf(answer.headers),
      })),
    headManifest: (request) =>
      requestManifest(request, 'HEAD', async ({ headers }) => {
        const length = contentLengthOf(headers);
        return {
          digest: digestHeaderOf(headers),
          mediaType: headers.get('content-type'),
          size: length === 'malformed' ? null : length,
        };
      }),
    openBlob: async (request) => {
      checkWanted(request);
      const limit = startFirstByteLimit(request.firstByteMs, request.signal);
      const openOwn = (): Promise<BlobAnswer> =>
        openOwnBlob(state, request, limit, {
          send: (headers, authorization, via) =>
            follow(`${request.repository}/blobs/${request.digest}`, 'GET', 'layers', headers, authorization, {
              pullId: request.pullId,
              signal: limit.signal,
              progress: limit.progress,
              ...via,
            }),
          exchange: (shortcut, attempt) =>
            exchange({ ...request, signal: limit.signal }, 'layers', { shortcut, attempt }),
        });
      const openForeign = async (error: unknown): Promise<BlobAnswer> => {
        const { urls = [] } = request;
        const isAllowed = registry.allowForeignUrls && urls.length > 0 && isMissing(error);
        const answer = isAllowed
          ? await openForeignBlob(transport, state.blobSlots, limit, { ...request, urls, registry })
          : null;
        if (answer === null) throw error;
        return answer;
      };
      try {
        return await openOwn().catch(openForeign);
      } catch (error) {
        limit.end();
        throw error;
      }
    },
    warm: async (signal) => {
      try {
        // The operator has named it: it may be anywhere.
        await transport.warm({ url: new URL(registry.baseUrl), tls, guard: anyAddress }, signal);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        log(null, `${registry.prefix} was not connected to ahead`, { why });
      }
    },
  };
}

/** @throws RangeError for bytes that the blob does not have */
function checkWanted({ size, from, to = size }: WantedBytes): void {
  if (!Number.isSafeInteger(from) || from < 0 || (from > 0 && from >= size)) {
    throw new RangeError(`from must be 0 or an offset inside of the ${size} bytes, got ${from}`);
  }
  const isRest = to === size;
  if (!Number.isSafeInteger(to) || to > size || (to <= from && !isRest)) {
    throw new RangeError(`to must be an offset after ${from}, at most ${size}, got ${to}`);
  }
}

function digestHeaderOf(headers: Headers): Digest | null {
  return parseDigest(headers.get('docker-content-digest')?.trim() ?? '');
}
