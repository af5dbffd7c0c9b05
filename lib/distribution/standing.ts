import { createLog } from '../log/log.js';
import { abortable } from '../policy/deadline.js';
import { credentialIdentity, type Credentials, type CredentialSource } from '../registries/credentials.js';
import type { Registry } from '../registries/registry.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import { redactText } from '../vocabulary/redact.js';
import { authorize, type Authorization } from './authorize.js';
import type { RememberedChallenge } from './challenge.js';
import type { RegistryState } from './registry-state.js';
import type { Transport } from './transport.js';
import { ExchangeError } from './wire-error.js';

const log = createLog('auth');

/** Whose exchange it is, and about what. */
export interface StandingRequest {
  readonly registry: Registry;
  readonly source: CredentialSource;
  readonly repository: string;
  readonly phase: RegistryPhase;
  readonly pullId: string;
  readonly requestMs: number;
  readonly signal: AbortSignal;
  readonly onConnection: (holds: boolean) => void;
  /** Credentials that this registry had accepted before are rejected, also after they were read again. */
  readonly onCredentialsRejected: (message: string) => void;
}

/** Who we are to a registry during one exchange, and how we say so. */
export interface Standing {
  /** Of the credentials, in a word that tells nothing about them. */
  readonly identity: string;
  readonly authorization: Authorization | null;
  /** The challenge that `authorization` answers. */
  readonly answered: RememberedChallenge | null;
  /** Whether the credentials were read again, which happens once at most. */
  readonly isFresh: boolean;
  /**
   * Comes to an authorization by this challenge, or to none. Where the token service rejects credentials that it had
   * accepted, it is asked once more with fresh ones.
   */
  answer(challenge: RememberedChallenge): Promise<void>;
  /** Reads the credentials again from where they come from. */
  readAgain(): Promise<void>;
  /** Whether these credentials had succeeded: with this repository, or at all where a rejection means themselves. */
  wasAccepted(meansCredentials: boolean): boolean;
  /** The request has succeeded. */
  accepted(): void;
  /** Tells that accepted credentials are rejected for good; returns the error that says so. */
  rejected(error: ExchangeError): ExchangeError;
}

/** Begins an exchange with the credentials that its source has, and nothing answered yet. */
export async function openStanding(
  transport: Transport,
  state: RegistryState,
  request: StandingRequest,
): Promise<Standing> {
  const { registry, repository, signal, pullId, phase, source } = request;
  let credentials = await readCredentials(source, registry, phase, { signal });
  let answered: RememberedChallenge | null = null;
  let authorization: Authorization | null = null;
  let isFresh = false;

  const pairOf = (identity: string): string => `${identity} ${repository}`;

  const standing: Standing = {
    get identity() {
      return credentialIdentity(credentials);
    },
    get authorization() {
      return authorization;
    },
    get answered() {
      return answered;
    },
    get isFresh() {
      return isFresh;
    },
    answer: async (challenge) => {
      answered = challenge;
      try {
        authorization = await authorize(transport, state, { ...request, credentials, challenge });
      } catch (error) {
        const rejection = rejectionByTokenService(error);
        if (rejection === null) throw error;
        if (isFresh) throw standing.rejected(rejection.error);
        if (!standing.wasAccepted(rejection.meansCredentials)) throw error;
        await standing.readAgain();
        await standing.answer(challenge);
      }
    },
    readAgain: async () => {
      isFresh = true;
      authorization?.forget();
      log(pullId, `${registry.prefix} rejects what it had accepted: the credentials are read again`);
      credentials = await readCredentials(source, registry, phase, { signal, fresh: true });
    },
    wasAccepted: (meansCredentials) => {
      const identity = credentialIdentity(credentials);
      if (state.accepted.has(pairOf(identity))) return true;
      // Being nobody is nothing that could have become wrong.
      return meansCredentials && credentials !== null && state.accepted.has(identity);
    },
    accepted: () => {
      const identity = credentialIdentity(credentials);
      if (authorization !== null) state.accepted.set(identity, true);
      state.accepted.set(pairOf(identity), true);
    },
    rejected: (error) => {
      const { evidence, detail } = error;
      if (credentials !== null) request.onCredentialsRejected(detail ?? error.message);
      if (evidence.kind !== 'status') return error;
      return new ExchangeError(error.message, {
        evidence: { ...evidence, acceptedBefore: true },
        phase: error.phase,
        ...(detail === undefined ? {} : { detail }),
      });
    },
  };
  return standing;
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
