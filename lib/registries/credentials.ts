import { createHmac, randomBytes } from 'node:crypto';

/**
 * What a registry, or its token service, is shown.
 *
 * - `username` and `password`: Basic, to the registry or to its token service
 * - `identityToken`: a refresh token, which the token service exchanges for an access token
 * - `registryToken`: an access token, sent to the registry as it is
 */
export type Credentials =
  | { readonly username: string; readonly password: string }
  | { readonly identityToken: string }
  | { readonly registryToken: string };

/** What a credentials callback is told. */
export interface CredentialsRequest {
  /** The registry's prefix; for credentials given per pull, the host of the image's own registry. */
  readonly registry: string;
  /** Aborts when nobody waits for the answer any more, or when it is late. */
  readonly signal: AbortSignal;
}

/**
 * Returns the credentials for a registry, or null for none. The answer is reused for a minute, and asked for again
 * when the registry rejects what it had accepted before. An answer later than 10 seconds counts as a failure.
 */
export type CredentialsCallback = (request: CredentialsRequest) => Credentials | null | Promise<Credentials | null>;

/** The credentials themselves, `'none'` (anonymous, whatever Docker's configuration says) or a callback. */
export type CredentialsOption = Credentials | 'none' | CredentialsCallback;

/** What a reader of credentials may say. */
export interface CredentialsQuery {
  /** Stops waiting; rejects with the signal's own reason. */
  readonly signal?: AbortSignal;
  /** Reads again from where the credentials come from, whatever was read before. */
  readonly fresh?: boolean;
}

/** Where the credentials of one registry come from. It holds them out of reach of `inspect` and JSON. */
export interface CredentialSource {
  /**
   * Returns the credentials, or null for anonymous.
   *
   * @throws CredentialsUnavailableError when there should be some and they cannot be read
   */
  get(query?: CredentialsQuery): Promise<Credentials | null>;
}

/** The answer of a check that must not show what it checked. */
export type CheckedCredentials = { readonly credentials: Credentials } | { readonly problem: string };

const knownKeys: readonly string[] = ['username', 'password', 'identityToken', 'registryToken'];

// A control character would end the header that carries it, or start another one.
// oxlint-disable-next-line no-control-regex
const controlCharacter = /[\u0000-\u001f\u007f]/;
const visibleAscii = /^[\u0021-\u007e]+$/;

/** Checks a value that should be credentials; the problem names keys and never values. */
export function checkCredentials(value: unknown): CheckedCredentials {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { problem: 'must be an object with username and password, identityToken, or registryToken' };
  }
  const fields = value as Readonly<Record<string, unknown>>;
  const given = Object.keys(fields).filter((key) => fields[key] !== undefined);
  const unknown = given.filter((key) => !knownKeys.includes(key));
  if (unknown.length > 0) {
    return { problem: `has the unknown key ${JSON.stringify(unknown[0])}; known here: ${knownKeys.join(', ')}` };
  }
  if (given.length === 0) return { problem: 'has no username and password, identityToken, or registryToken' };
  const kinds = [
    given.includes('username') || given.includes('password') ? 'username and password' : '',
    given.includes('identityToken') ? 'identityToken' : '',
    given.includes('registryToken') ? 'registryToken' : '',
  ].filter((kind) => kind !== '');
  if (kinds.length > 1) return { problem: `contradicts itself: it has ${kinds.join(' as well as ')}` };

  const { username, password, identityToken, registryToken } = fields;
  if (identityToken !== undefined) {
    return isToken(identityToken)
      ? { credentials: Object.freeze({ identityToken }) }
      : { problem: 'has an identityToken that is not a non-empty string of visible ASCII characters' };
  }
  if (registryToken !== undefined) {
    return isToken(registryToken)
      ? { credentials: Object.freeze({ registryToken }) }
      : { problem: 'has a registryToken that is not a non-empty string of visible ASCII characters' };
  }
  if (typeof username !== 'string' || username === '') {
    return { problem: 'has a username that is not a non-empty string' };
  }
  if (typeof password !== 'string') return { problem: 'has a password that is not a string' };
  // RFC 7617, section 2: Basic cannot express either.
  if (username.includes(':')) return { problem: 'has a username with a colon, which Basic cannot carry' };
  if (controlCharacter.test(username) || controlCharacter.test(password)) {
    return { problem: 'has a control character in its username or password' };
  }
  return { credentials: Object.freeze({ username, password }) };
}

function isToken(value: unknown): value is string {
  return typeof value === 'string' && visibleAscii.test(value);
}

/** Random per process, so that an identity says nothing to anybody who guesses passwords. */
const identityKey = randomBytes(32);

/**
 * Returns a word that is equal exactly for equal credentials within this process, and tells nothing about them:
 * the key of token caches and of what pulls may share. `'anonymous'` for none.
 */
export function credentialIdentity(credentials: Credentials | null): string {
  if (credentials === null) return 'anonymous';
  const parts =
    'username' in credentials
      ? ['password', credentials.username, credentials.password]
      : 'identityToken' in credentials
        ? ['identity-token', credentials.identityToken]
        : ['registry-token', credentials.registryToken];
  return createHmac('sha256', identityKey).update(JSON.stringify(parts)).digest('base64url');
}
