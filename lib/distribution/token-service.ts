import { monotonicMs } from '../clock/time.js';
import type { Credentials } from '../registries/credentials.js';
import { readErrorBody } from './error-body.js';
import { sendFollowing } from './follow.js';
import { readDocument } from './read-document.js';
import { statusError } from './status-error.js';
import type { AddressGuard } from './address-guard.js';
import type { TlsIdentity } from './tls-identity.js';
import type { Transport, WireAnswer } from './transport.js';
import { userAgent } from './user-agent.js';
import { ExchangeError } from './wire-error.js';

/** A token, and until when it may be used. */
export interface Token {
  /** Never to be shown. */
  readonly value: string;
  /** On the monotonic clock. */
  readonly expiresAtMs: number;
}

/** What a token service is asked. */
export interface TokenRequest {
  readonly realm: URL;
  readonly guard: AddressGuard;
  /** For the realm. */
  readonly tls: TlsIdentity;
  /** For wherever the realm redirects to. */
  readonly ledTls: TlsIdentity;
  readonly service: string | null;
  readonly scope: string;
  readonly credentials: Exclude<Credentials, { registryToken: string }> | null;
  readonly pullId: string;
  readonly signal: AbortSignal;
}

/** The specification's own default, and the least it allows: what names less means this. */
const minExpirySeconds = 60;

/** A token that claims to live longer is asked for again after this; none of the big registries goes beyond an hour. */
const maxExpirySeconds = 12 * 60 * 60;

/** A token is used until this share of its life is over: clocks differ, and a request takes time to arrive. */
const usedShareOfLife = 0.8;

/** Tokens of big registries have 1 to 4 KiB; a larger one would not fit into the header of a request. */
const maxTokenLength = 16 * 1024;
const maxAnswerBytes = 256 * 1024;

const clientId = 'pull-failover';

/**
 * Asks for a token: anonymously or with user and password by GET, with an identity token by POST (OAuth 2).
 *
 * @see https://distribution.github.io/distribution/spec/auth/token/
 * @see https://distribution.github.io/distribution/spec/auth/oauth/
 * @throws ExchangeError
 */
export async function requestToken(transport: Transport, request: TokenRequest): Promise<Token> {
  const askedAtMs = monotonicMs();
  const { credentials } = request;
  const answer =
    credentials !== null && 'identityToken' in credentials
      ? await postRefreshToken(transport, request, credentials.identityToken)
      : await getToken(transport, request, credentials);
  if (answer.status !== 200) {
    const body = await readErrorBody(answer.body, secretsOf(credentials));
    request.signal.throwIfAborted();
    throw statusError({
      status: answer.status,
      headers: answer.headers,
      from: 'token-service',
      phase: 'metadata',
      body,
    });
  }
  const bytes = await readDocument({ ...answer, answerer: 'token-service' }, maxAnswerBytes, { bytes: 0 });
  return parseToken(Buffer.from(bytes).toString('utf8'), askedAtMs);
}

function getToken(
  transport: Transport,
  request: TokenRequest,
  credentials: { readonly username: string; readonly password: string } | null,
): Promise<WireAnswer> {
  const url = new URL(request.realm);
  if (request.service !== null) url.searchParams.append('service', request.service);
  url.searchParams.append('scope', request.scope);
  if (credentials !== null) url.searchParams.append('account', credentials.username);
  return sendFollowing(transport, {
    url,
    method: 'GET',
    headers: plainHeaders,
    authorization: credentials === null ? null : basicAuthorization(credentials),
    tls: request.tls,
    ledTls: request.ledTls,
    guard: request.guard,
    isPrivate: false,
    answerer: 'token-service',
    phase: 'metadata',
    pullId: request.pullId,
    signal: request.signal,
  });
}

/** Not followed anywhere: a redirect that keeps the method would carry the identity token to whoever it names. */
function postRefreshToken(transport: Transport, request: TokenRequest, identityToken: string): Promise<WireAnswer> {
  const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: identityToken, client_id: clientId });
  if (request.service !== null) form.set('service', request.service);
  form.set('scope', request.scope);
  return transport.send({
    url: request.realm,
    method: 'POST',
    headers: { ...plainHeaders, 'content-type': 'application/x-www-form-urlencoded' },
    body: form.toString(),
    tls: request.tls,
    guard: request.guard,
    answerer: 'token-service',
    phase: 'metadata',
    signal: request.signal,
  });
}

const plainHeaders: Readonly<Record<string, string>> = {
  accept: 'application/json',
  'accept-encoding': 'identity',
  'user-agent': userAgent,
};

/** The value of Authorization for user and password (RFC 7617, in UTF-8). */
export function basicAuthorization(credentials: { readonly username: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`, 'utf8').toString('base64')}`;
}

/** What of these credentials a peer might repeat in an error, in the forms in which it got them. */
export function secretsOf(credentials: Credentials | null): readonly string[] {
  if (credentials === null) return [];
  if ('identityToken' in credentials) return [credentials.identityToken];
  if ('registryToken' in credentials) return [credentials.registryToken];
  return [credentials.password, basicAuthorization(credentials).slice('Basic '.length)];
}

/** Reads a token answer; `token` and `access_token` mean the same. */
export function parseToken(text: string, askedAtMs: number): Token {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw malformedToken('it is not JSON');
  }
  if (typeof answer !== 'object' || answer === null) throw malformedToken('it is not an object');
  const fields = answer as Readonly<Record<string, unknown>>;
  const value = [fields['token'], fields['access_token']].find((each) => typeof each === 'string' && each !== '');
  if (typeof value !== 'string') throw malformedToken('it has no token');
  if (value.length > maxTokenLength || !/^[\u0021-\u007e]+$/.test(value)) {
    throw malformedToken('its token cannot be sent in a header');
  }
  const seconds = Number(fields['expires_in'] ?? minExpirySeconds);
  const lifeMs = Math.min(Math.max(Number.isFinite(seconds) ? seconds : 0, minExpirySeconds), maxExpirySeconds) * 1_000;
  return { value, expiresAtMs: askedAtMs + lifeMs * usedShareOfLife };
}

function malformedToken(problem: string): ExchangeError {
  return new ExchangeError(`the answer of the token service cannot be used: ${problem}`, {
    evidence: { kind: 'auth', code: 'token-malformed' },
    phase: 'metadata',
  });
}
