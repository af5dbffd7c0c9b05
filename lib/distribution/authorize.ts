import { monotonicMs } from '../clock/time.js';
import { abortable } from '../policy/deadline.js';
import { createLog } from '../log/log.js';
import { redactUrl } from '../vocabulary/redact.js';
import { credentialIdentity, type Credentials } from '../registries/credentials.js';
import type { Registry } from '../registries/registry.js';
import type { RememberedChallenge } from './challenge.js';
import { parseRealm } from './realm.js';
import type { RegistryState } from './registry-state.js';
import { withinRequestMs } from './request-limit.js';
import { ledIdentity, ownIdentity } from './tls-identity.js';
import { basicAuthorization, requestToken, secretsOf, type Token } from './token-service.js';
import type { Transport } from './transport.js';
import { ExchangeError } from './wire-error.js';

const log = createLog('auth');

/** What goes into Authorization, and what is known about it. */
export interface Authorization {
  /** Never to be shown. */
  readonly header: string;
  /** A token that another request had used before: a rejection may only mean that it has expired. */
  readonly fromCache: boolean;
  /** Texts that must not come back out of an error. */
  readonly secrets: readonly string[];
  /** Nobody will use this token again. */
  forget(): void;
}

/** What an authorization is for. */
export interface AuthorizationRequest {
  readonly registry: Registry;
  readonly repository: string;
  readonly credentials: Credentials | null;
  readonly challenge: RememberedChallenge;
  readonly pullId: string;
  readonly requestMs: number;
  readonly signal: AbortSignal;
  readonly onConnection: (holds: boolean) => void;
}

/**
 * Answers a challenge with the credentials at hand. Null when they cannot answer it: Basic without user and password.
 *
 * @throws ExchangeError of the phase `metadata` when no token could be had
 */
export async function authorize(
  transport: Transport,
  state: RegistryState,
  request: AuthorizationRequest,
): Promise<Authorization | null> {
  const { wanted } = request.challenge;
  const { credentials } = request;
  const secrets = secretsOf(credentials);
  if (wanted.kind === 'basic') {
    if (credentials === null || !('username' in credentials)) return null;
    return { header: basicAuthorization(credentials), fromCache: false, secrets, forget: () => undefined };
  }
  if (credentials !== null && 'registryToken' in credentials) {
    return { header: `Bearer ${credentials.registryToken}`, fromCache: false, secrets, forget: () => undefined };
  }

  const scope = scopeOf(wanted.scope, request.repository);
  const key = JSON.stringify([wanted.realm, wanted.service, scope, credentialIdentity(credentials)]);
  const cached = state.tokens.get(key);
  const usable = cached !== undefined && cached.expiresAtMs > monotonicMs();
  const token = usable ? cached : await fetchToken(transport, state, request, { ...wanted, scope, key, credentials });
  return {
    header: `Bearer ${token.value}`,
    fromCache: usable,
    secrets: [...secrets, token.value],
    forget: () => {
      // Another request may have replaced it already.
      if (state.tokens.get(key) === token) state.tokens.delete(key);
    },
  };
}

interface WantedToken {
  readonly realm: string;
  readonly service: string | null;
  readonly scope: string;
  readonly key: string;
  readonly credentials: Exclude<Credentials, { registryToken: string }> | null;
}

/** One request serves all who want the same token at the same time; each gives it the time its own limit says. */
function fetchToken(
  transport: Transport,
  state: RegistryState,
  request: AuthorizationRequest,
  wanted: WantedToken,
): Promise<Token> {
  const { registry, challenge, pullId } = request;
  const realm = parseRealm(wanted.realm, new URL(registry.baseUrl), challenge.zone);
  if ('refused' in realm) {
    throw new ExchangeError(`the realm of the challenge was not asked (${realm.refused})`, {
      evidence: { kind: 'auth', code: realm.refused },
      phase: 'metadata',
    });
  }
  const home = realm.url.origin === new URL(registry.baseUrl).origin;
  const ledTls = ledIdentity(registry.tls);

  request.onConnection(false);
  return state.tokenRequests.join(wanted.key, {
    signal: request.signal,
    start: async (signal, begun) => {
      const slot = await state.tokenSlots.acquire(signal);
      begun();
      try {
        log(pullId, 'asks for a token', {
          realm: redactUrl(realm.url),
          scope: wanted.scope,
          as: wanted.credentials === null ? 'anonymous' : 'identityToken' in wanted.credentials ? 'identity' : 'user',
        });
        const paced = home ? state.pace.count() : null;
        const token = await requestToken(transport, {
          realm: realm.url,
          guard: realm.guard,
          tls: home ? ownIdentity(registry.tls) : ledTls,
          ledTls,
          service: wanted.service,
          scope: wanted.scope,
          credentials: wanted.credentials,
          pullId,
          signal,
        });
        paced?.answered();
        state.tokens.set(wanted.key, token);
        state.accepted.set(credentialIdentity(wanted.credentials), true);
        return token;
      } finally {
        slot.release();
      }
    },
    waitFor: (token, signal) => {
      request.onConnection(true);
      return withinRequestMs(request.requestMs, signal, (limited) => abortable(token, limited));
    },
  });
}

/**
 * Only ever asks for `pull`, whatever the challenge would like. Its repository is taken over: a registry may know it by
 * another name than its own API does.
 */
function scopeOf(challenged: string | null, repository: string): string {
  const named = /^repository(?:\([a-z]+\))?:([^\s:]{1,255}):[^\s:]+$/.exec(challenged ?? '');
  return `repository:${named?.[1] ?? repository}:pull`;
}
