import { abortable } from '../policy/deadline.js';
import { createLog } from '../log/log.js';
import { credentialIdentity, type Credentials, type CredentialSource } from '../registries/credentials.js';
import type { Registry } from '../registries/registry.js';
import { redactText } from '../vocabulary/redact.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { AddressZone } from './address-zone.js';
import { authorize, type Authorization } from './authorize.js';
import { wantedAuth, type RememberedChallenge } from './challenge.js';
import type { ErrorBody } from './error-body.js';
import type { Headers } from './headers.js';
import type { RegistryState } from './registry-state.js';
import { statusError } from './status-error.js';
import type { Transport } from './transport.js';
import { ExchangeError } from './wire-error.js';

const log = createLog('auth');

/** The registry itself answered 401 or 403. */
export interface Denial {
  readonly status: number;
  readonly headers: Headers;
  readonly body: ErrorBody;
  readonly zone: AddressZone;
}

/** How one try ended that did not fail for another reason. */
export type TryOutcome<T> = { readonly done: T } | { readonly denied: Denial };

/** An exchange that may need credentials. */
export interface AuthorizedExchange<T> {
  readonly registry: Registry;
  readonly source: CredentialSource;
  readonly repository: string;
  readonly phase: RegistryPhase;
  readonly pullId: string;
  readonly requestMs: number;
  readonly signal: AbortSignal;
  /** Sends the request once. */
  readonly attempt: (authorization: Authorization | null) => Promise<TryOutcome<T>>;
  readonly onConnection: (holds: boolean) => void;
  /** Credentials that this registry had accepted before are rejected, also after they were read again. */
  readonly onCredentialsRejected: (message: string) => void;
}

/** What may be tried at most once each, so that no peer keeps an exchange going round. */
interface TriedOnce {
  challenge: boolean;
  freshToken: boolean;
  freshCredentials: boolean;
}

/** Who we are in this exchange, and how we say so. */
interface Standing {
  credentials: Credentials | null;
  /** The challenge that `authorization` answers. */
  answered: RememberedChallenge | null;
  authorization: Authorization | null;
}

/**
 * Sends a request with what the registry is known to want, and again when it says what it wants: after its first
 * challenge, with a new token when one from the cache is rejected, and with credentials read again when it rejects
 * those that it had accepted before.
 */
export async function exchangeAuthorized<T>(
  transport: Transport,
  state: RegistryState,
  exchange: AuthorizedExchange<T>,
): Promise<T> {
  const { registry, repository, signal, pullId, requestMs, onConnection, phase } = exchange;
  const tried: TriedOnce = { challenge: false, freshToken: false, freshCredentials: false };
  const now: Standing = {
    credentials: await readCredentials(exchange.source, registry, phase, { signal }),
    answered: null,
    authorization: null,
  };

  async function readAgain(): Promise<void> {
    tried.freshCredentials = true;
    log(pullId, `${registry.prefix} rejects what it had accepted: the credentials are read again`);
    now.credentials = await readCredentials(exchange.source, registry, phase, { signal, fresh: true });
  }

  /** Where the token service rejects credentials that it had accepted, it is asked once more with fresh ones. */
  async function answer(challenge: RememberedChallenge): Promise<void> {
    now.answered = challenge;
    const identity = credentialIdentity(now.credentials);
    const request = {
      registry,
      repository,
      credentials: now.credentials,
      challenge,
      pullId,
      requestMs,
      signal,
      onConnection,
    };
    try {
      now.authorization = await authorize(transport, state, request);
    } catch (error) {
      const rejection = rejectionByTokenService(error);
      if (rejection === null) throw error;
      if (tried.freshCredentials) throw rejectedAgain(rejection.error);
      if (!wasAccepted(state, identity, repository, rejection.meansCredentials)) throw error;
      await readAgain();
      await answer(challenge);
      return;
    }
  }

  function rejectedAgain(error: ExchangeError): ExchangeError {
    const { evidence, detail } = error;
    if (now.credentials !== null) exchange.onCredentialsRejected(detail ?? error.message);
    if (evidence.kind !== 'status') return error;
    return new ExchangeError(error.message, {
      evidence: { ...evidence, acceptedBefore: true },
      phase: error.phase,
      ...(detail === undefined ? {} : { detail }),
    });
  }

  const known = state.challenges.get(repository);
  if (known !== undefined) await answer(known);

  for (;;) {
    const outcome = await exchange.attempt(now.authorization);
    const identity = credentialIdentity(now.credentials);
    if ('done' in outcome) {
      if (now.authorization !== null) state.accepted.set(identity, true);
      state.accepted.set(pairOf(identity, repository), true);
      return outcome.done;
    }
    const { denied } = outcome;
    const challenge = rememberChallenge(state, repository, denied, phase) ?? state.challenges.get(repository);
    log(pullId, `${registry.prefix} answered ${denied.status}`, { wants: challenge?.wanted.kind ?? 'nothing known' });

    // To Basic, a 401 means the credentials themselves; any other denial may mean this repository alone.
    const meansCredentials = denied.status === 401 && challenge?.wanted.kind === 'basic';
    const acceptedBefore = wasAccepted(state, identity, repository, meansCredentials);
    const isNews = challenge !== undefined && !isSameChallenge(challenge, now.answered);
    if (isNews && denied.status === 401 && !tried.challenge) {
      tried.challenge = true;
      await answer(challenge);
      if (now.authorization !== null) continue;
    } else if (challenge !== undefined && now.authorization?.fromCache === true && !tried.freshToken) {
      tried.freshToken = true;
      now.authorization.forget();
      await answer(challenge);
      continue;
    }
    if (challenge !== undefined && acceptedBefore && !tried.freshCredentials) {
      now.authorization?.forget();
      await readAgain();
      await answer(challenge);
      continue;
    }
    const error = statusError({ ...denied, from: 'registry', phase });
    throw acceptedBefore || tried.freshCredentials ? rejectedAgain(error) : error;
  }
}

function pairOf(identity: string, repository: string): string {
  return `${identity} ${repository}`;
}

/** Whether these credentials had succeeded: with this repository, or at all where the rejection means themselves. */
function wasAccepted(state: RegistryState, identity: string, repository: string, meansCredentials: boolean): boolean {
  if (state.accepted.has(pairOf(identity, repository))) return true;
  // Being nobody is nothing that could have become wrong.
  return meansCredentials && identity !== credentialIdentity(null) && state.accepted.has(identity);
}

function isSameChallenge(challenge: RememberedChallenge, other: RememberedChallenge | null): boolean {
  return other !== null && JSON.stringify(challenge.wanted) === JSON.stringify(other.wanted);
}

/**
 * Reads the credentials for a registry.
 *
 * @throws ExchangeError when there should be some and they cannot be read; the signal's own reason
 */
export async function readCredentials(
  source: CredentialSource,
  registry: Registry,
  phase: RegistryPhase,
  query: { readonly signal: AbortSignal; readonly fresh?: boolean },
): Promise<Credentials | null> {
  try {
    return await abortable(source.get(query), query.signal);
  } catch (error) {
    if (query.signal.aborted) throw query.signal.reason;
    const words = redactText(error instanceof Error ? error.message : 'no reason given');
    throw new ExchangeError(`the credentials for ${registry.prefix} could not be read: ${words}`, {
      evidence: { kind: 'auth', code: 'credentials-unavailable' },
      phase,
      detail: words,
    });
  }
}

/** Keeps what a 401 asks for; null when it asks for nothing that this library can answer. */
function rememberChallenge(
  state: RegistryState,
  repository: string,
  denied: Denial,
  phase: RegistryPhase,
): RememberedChallenge | null {
  if (denied.status !== 401) return null;
  const wanted = wantedAuth(denied.headers);
  if (wanted === null) return null;
  if (wanted === 'malformed') {
    throw new ExchangeError('the challenge of a 401 cannot be understood', {
      evidence: { kind: 'auth', code: 'challenge-malformed' },
      phase,
      detail: denied.body.detail,
    });
  }
  const challenge = { wanted, zone: denied.zone };
  state.challenges.set(repository, challenge);
  return challenge;
}

/** How a token service rejects; null for any other failure. */
function rejectionByTokenService(
  error: unknown,
): { readonly error: ExchangeError; readonly meansCredentials: boolean } | null {
  if (!(error instanceof ExchangeError) || error.evidence.kind !== 'status') return null;
  const { from, status } = error.evidence;
  if (from !== 'token-service') return null;
  // 400 is how OAuth rejects a refresh token (RFC 6749, section 5.2); a 403 may mean this repository alone.
  if (status === 400 || status === 401) return { error, meansCredentials: true };
  return status === 403 ? { error, meansCredentials: false } : null;
}
