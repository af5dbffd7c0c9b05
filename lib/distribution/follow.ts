import { monotonicMs } from '../clock/time.js';
import { createLog } from '../log/log.js';
import type { Answerer } from '../vocabulary/evidence.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import { redactUrl } from '../vocabulary/redact.js';
import { guardOfAnswer, type AddressGuard } from './address-guard.js';
import { zoneOfHost, type AddressZone } from './address-zone.js';
import type { ConnectProgress } from './connect-progress.js';
import { discardBody } from './discard-body.js';
import type { Headers } from './headers.js';
import { isRedirect, maxRedirects, redirectTarget } from './redirect.js';
import type { TlsIdentity } from './tls-identity.js';
import type { Transport, WireAnswer, WireRequest } from './transport.js';
import { ExchangeError } from './wire-error.js';

const log = createLog('registry');

/** Signatures and keys are longer; hiding every `1` and `GET` would leave no words to read. */
const minSecretLength = 8;

/** Where a redirect has led to, with what holds for whoever is asked there. */
export interface RedirectedTo {
  /** As good as a password; never to be shown. */
  readonly url: URL;
  readonly guard: AddressGuard;
  /** Whether the first origin was left on the way here: nothing of ours may go along any more. */
  readonly left: boolean;
  /** Redirects on the way here. */
  readonly redirects: number;
}

/** A request whose redirects are followed. */
export interface FollowedRequest {
  readonly url: URL;
  readonly method: 'GET' | 'HEAD';
  readonly headers: Readonly<Record<string, string>>;
  /** The value of Authorization; sent to the origin of `url` alone. */
  readonly authorization: string | null;
  /** For the origin of `url`. */
  readonly tls: TlsIdentity;
  /** For everywhere else. */
  readonly ledTls: TlsIdentity;
  readonly guard: AddressGuard;
  /** Whether the registry is known to be in a private network, where a proxy hides its address. */
  readonly isPrivate: boolean;
  readonly answerer: 'registry' | 'token-service';
  readonly phase: RegistryPhase;
  readonly pullId: string;
  readonly signal: AbortSignal;
  readonly progress?: ConnectProgress;
  /** Where `url` has led to before: it goes on there at once, and all holds as if it had led there now. */
  readonly from?: RedirectedTo;
  /** Told of each redirect that is followed, with the answer's header. */
  readonly onRedirect?: (to: RedirectedTo, headers: Headers) => void;
}

/** The answer at the end of all redirects. */
export interface FollowedAnswer extends Omit<WireAnswer, 'zone'> {
  readonly url: URL;
  /** Texts in the URL that must not come back out of an error: a signed URL is as good as a password. */
  readonly secrets: readonly string[];
  /** Where it came from, as far as anybody can tell. */
  readonly zone: AddressZone;
  /** Who gave it: as soon as one redirect has left the first origin, whatever comes is the storage's word. */
  readonly answerer: Answerer;
}

/**
 * Sends a request and follows its redirects, at most 5. Authorization and our certificate stay with the first origin
 * and do not come back once another one was involved; https never becomes http; no answer leads further into this
 * host's network than where it came from itself.
 *
 * @throws ExchangeError, with the evidence `redirect` for what must not be followed
 */
export async function sendFollowing(transport: Transport, request: FollowedRequest): Promise<FollowedAnswer> {
  const origin = request.url.origin;
  const { from, onRedirect, progress } = request;
  let { url, guard } = from ?? request;
  let left = from?.left ?? false;

  for (let redirects = from?.redirects ?? 0; ; redirects += 1) {
    const answerer: Answerer = left && request.answerer === 'registry' ? 'storage' : request.answerer;
    const authorized = request.authorization !== null && !left;
    const shown = `${request.method} ${showUrl(url, left)}`;
    const answer = await sendLogged(transport, request.pullId, shown, {
      url,
      method: request.method,
      headers: authorized ? { ...request.headers, authorization: request.authorization } : request.headers,
      tls: left ? request.ledTls : request.tls,
      guard,
      answerer,
      phase: request.phase,
      signal: request.signal,
      ...(progress === undefined ? {} : { progress }),
    });
    // Behind a proxy the URL's host and the registry's settings are all that is known.
    const hidden = zoneOfHost(url.hostname) ?? (request.isPrivate && !left ? 'private' : 'public');
    const zone = answer.zone ?? hidden;
    if (!isRedirect(answer.status)) return { ...answer, url, zone, answerer, secrets: left ? secretsIn(url) : [] };

    const target = redirectTarget(url, answer.headers);
    discardBody(answer.body);
    const refused = 'refused' in target ? target.refused : redirects === maxRedirects ? 'redirect-loop' : null;
    if (refused !== null || 'refused' in target) {
      throw new ExchangeError(`${shown}: its redirect was not followed (${refused})`, {
        evidence: { kind: 'redirect', code: refused ?? 'redirect-malformed' },
        phase: request.phase,
      });
    }
    const home = target.url.origin === origin;
    left ||= !home;
    guard = home ? request.guard : guardOfAnswer(zone);
    url = target.url;
    onRedirect?.({ url, guard, left, redirects: redirects + 1 }, answer.headers);
  }
}

async function sendLogged(
  transport: Transport,
  pullId: string,
  shown: string,
  request: WireRequest,
): Promise<WireAnswer> {
  const startedAtMs = monotonicMs();
  const elapsedMs = (): number => Math.round(monotonicMs() - startedAtMs);
  try {
    const answer = await transport.send(request);
    log(pullId, shown, { status: answer.status, reused: answer.reused, ms: elapsedMs() });
    return answer;
  } catch (error) {
    log(pullId, shown, {
      failed: error instanceof ExchangeError ? error.message : 'ended by its caller',
      ms: elapsedMs(),
    });
    throw error;
  }
}

/** Of where a redirect led to, only the host: a signature may be part of the path, too. */
function showUrl(url: URL, left: boolean): string {
  return left ? `${url.origin}/…` : redactUrl(url);
}

/** Values of the query in both forms, since a peer may repeat one as it was sent or as it was meant, and the path. */
function secretsIn(url: URL): readonly string[] {
  const sent = url.search
    .slice(1)
    .split('&')
    .map((pair) => pair.slice(pair.indexOf('=') + 1));
  return [...new Set([...sent, ...url.searchParams.values(), url.pathname])].filter(
    (value) => value.length >= minSecretLength,
  );
}
