import { createLog } from '../log/log.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { AddressZone } from './address-zone.js';
import type { Authorization } from './authorize.js';
import { wantedAuth, type RememberedChallenge } from './challenge.js';
import type { ErrorBody } from './error-body.js';
import type { Headers } from './headers.js';
import type { RegistryState } from './registry-state.js';
import { openStanding, type StandingRequest } from './standing.js';
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
export interface AuthorizedExchange<T> extends StandingRequest {
  /** What can be had without asking the registry; null when it has to be asked. */
  readonly shortcut?: (identity: string) => Promise<T | null>;
  /**
   * Sends the request once.
   *
   * @param identity of the credentials behind it, whether they are shown or not
   */
  readonly attempt: (authorization: Authorization | null, identity: string) => Promise<TryOutcome<T>>;
}

/**
 * Sends a request with what the registry is known to want, and again when it says what it wants: after its first
 * challenge, with a new token when one from the cache is rejected, and with credentials read again when it rejects
 * those that it had accepted before. Each at most once, so that no peer keeps an exchange going round.
 */
export async function exchangeAuthorized<T>(
  transport: Transport,
  state: RegistryState,
  exchange: AuthorizedExchange<T>,
): Promise<T> {
  const { registry, repository, pullId, phase } = exchange;
  const standing = await openStanding(transport, state, exchange);
  const had = (await exchange.shortcut?.(standing.identity)) ?? null;
  if (had !== null) return had;
  let sawChallenge = false;
  let renewedToken = false;

  const known = state.challenges.get(repository);
  if (known !== undefined) await standing.answer(known);

  for (;;) {
    const { authorization } = standing;
    const outcome = await exchange.attempt(authorization, standing.identity);
    if ('done' in outcome) {
      standing.accepted();
      return outcome.done;
    }
    const { denied } = outcome;
    const challenge = rememberChallenge(state, repository, denied, phase) ?? state.challenges.get(repository) ?? null;
    log(pullId, `${registry.prefix} answered ${denied.status}`, { wants: challenge?.wanted.kind ?? 'nothing known' });

    if (challenge !== null && !sawChallenge && denied.status === 401 && !isSame(challenge, standing.answered)) {
      sawChallenge = true;
      await standing.answer(challenge);
      if (standing.authorization !== null) continue;
    } else if (challenge !== null && !renewedToken && authorization?.fromCache === true) {
      renewedToken = true;
      authorization.forget();
      await standing.answer(challenge);
      continue;
    }

    // To Basic, a 401 means the credentials themselves; any other denial may mean this repository alone.
    const acceptedBefore = standing.wasAccepted(denied.status === 401 && challenge?.wanted.kind === 'basic');
    if (challenge !== null && acceptedBefore && !standing.isFresh) {
      await standing.readAgain();
      await standing.answer(challenge);
      continue;
    }
    const error = statusError({ ...denied, from: 'registry', phase });
    throw acceptedBefore || standing.isFresh ? standing.rejected(error) : error;
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

function isSame(challenge: RememberedChallenge, other: RememberedChallenge | null): boolean {
  return other !== null && JSON.stringify(challenge.wanted) === JSON.stringify(other.wanted);
}
