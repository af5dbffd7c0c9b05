import { abortable } from '../policy/deadline.js';
import { createLog } from '../log/log.js';
import { credentialIdentity, type Credentials, type CredentialSource } from '../registries/credentials.js';
import type { Registry } from '../registries/registry.js';
import { redactText } from '../vocabulary/redact.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { AddressZone } from './address-zone.js';
import { authorize, type Authorization, type ScopedChallenge } from './authorize.js';
import { wantedAuth } from './challenge.js';
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
  const { registry, repository, signal, pullId, requestMs } = exchange;
  const read = (fresh: boolean): Promise<Credentials | null> =>
    readCredentials(exchange.source, registry, exchange.phase, { signal, fresh });
  const tried: TriedOnce = { challenge: false, freshToken: false, freshCredentials: false };
  let credentials = await read(false);

  /** Answers the challenge remembered; where the token service rejects accepted credentials, once more with fresh ones. */
  async function answerChallenge(challenge: ScopedChallenge): Promise<Authorization | null> {
    const identity = credentialIdentity(credentials);
    try {
      const authorization = await authorize(transport, state, {
        registry,
        repository,
        credentials,
        challenge,
        pullId,
        requestMs,
        signal,
        onConnection: exchange.onConnection,
      });
      if (authorization !== null && challenge.wanted.kind === 'bearer') state.accepted.set(identity, true);
      return authorization;
    } catch (error) {
      if (!isRejectedByTokenService(error) || !state.accepted.has(identity)) throw error;
      if (!tried.freshCredentials) {
        tried.freshCredentials = true;
        credentials = await read(true);
        return answerChallenge(challenge);
      }
      throw rejectedAgain(error);
    }
  }

  function rejectedAgain(error: ExchangeError): ExchangeError {
    const { evidence, phase, detail } = error;
    if (credentials !== null) exchange.onCredentialsRejected(detail === undefined ? error.message : detail);
    return evidence.kind === 'status'
      ? new ExchangeError(error.message, {
          evidence: { ...evidence, acceptedBefore: true },
          phase,
          ...(detail === undefined ? {} : { detail }),
        })
      : error;
  }

  const known = state.challenges.get(repository);
  let authorization = known === undefined ? null : await answerChallenge(known);

  for (;;) {
    const outcome = await exchange.attempt(authorization);
    const identity = credentialIdentity(credentials);
    const pair = `${identity} ${repository}`;
    if ('done' in outcome) {
      if (authorization !== null) state.accepted.set(identity, true);
      state.accepted.set(pair, true);
      return outcome.done;
    }
    const { denied } = outcome;
    const challenge = rememberChallenge(state, repository, denied, exchange.phase) ?? state.challenges.get(repository);
    log(pullId, `${registry.prefix} answered ${denied.status}`, { wants: challenge?.wanted.kind ?? 'nothing known' });

    const acceptedBefore =
      state.accepted.has(pair) || (isUnauthenticated(denied, challenge) && state.accepted.has(identity));
    if (challenge !== undefined && authorization === null && denied.status === 401 && !tried.challenge) {
      tried.challenge = true;
      authorization = await answerChallenge(challenge);
      if (authorization !== null) continue;
    } else if (challenge !== undefined && authorization?.fromCache === true && !tried.freshToken) {
      tried.freshToken = true;
      authorization.forget();
      authorization = await answerChallenge(challenge);
      continue;
    }
    if (challenge !== undefined && acceptedBefore && !tried.freshCredentials) {
      tried.freshCredentials = true;
      authorization?.forget();
      credentials = await read(true);
      authorization = await answerChallenge(challenge);
      continue;
    }
    const error = statusError({ ...denied, from: 'registry', phase: exchange.phase });
    throw acceptedBefore ? rejectedAgain(error) : error;
  }
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
): ScopedChallenge | null {
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

/** A 401 to Basic means the credentials themselves; any other denial may mean this repository alone. */
function isUnauthenticated(denied: Denial, challenge: ScopedChallenge | undefined): boolean {
  return denied.status === 401 && challenge?.wanted.kind === 'basic';
}

function isRejectedByTokenService(error: unknown): error is ExchangeError {
  if (!(error instanceof ExchangeError) || error.evidence.kind !== 'status') return false;
  const { from, status } = error.evidence;
  // 400 is how OAuth rejects a refresh token (RFC 6749, section 5.2).
  return from === 'token-service' && (status === 400 || status === 401 || status === 403);
}
