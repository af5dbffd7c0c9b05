import { stat } from 'node:fs/promises';
import { CredentialsUnavailableError } from './credentials-unavailable.js';
import { checkCredentials, type Credentials } from './credentials.js';
import { readBoundedFile } from '../files/bounded-file.js';
import { fileErrorCode } from '../files/file-error.js';
import { stampOf } from '../files/file-state.js';
import { isObject } from '../image/json-object.js';
import { dockerHub } from '../image/registry-host.js';
import { dockerHubApi } from './prefix.js';

/** The largest configuration that is read, in bytes: one with thousands of registries stays far below. */
export const maxDockerConfigBytes: number = 1024 * 1024;

/** A helper to ask, and the name under which it knows the registry. */
export interface HelperForRegistry {
  readonly helper: string;
  readonly serverKey: string;
}

/** One version of a `config.json`. It holds secrets, out of reach of `inspect` and JSON. */
export interface DockerConfigFile {
  readonly path: string;
  /** Equal while the file on disk is untouched. */
  readonly stamp: string;
  /** The same for every reading in a row that found the same text. */
  readonly version: symbol;
  /** Whether a later reading found the very same text. */
  hasText(text: string): boolean;
  /** The helper of this registry (`credHelpers`), else the one of all registries (`credsStore`), else null. */
  helperFor(host: string): HelperForRegistry | null;
  /**
   * What `auths` says about this registry, or null.
   *
   * @throws CredentialsUnavailableError when its entry is malformed
   */
  credentialsFor(host: string): Credentials | null;
}

/**
 * Reads a `config.json`, unless it is the one `known` was read from; `fresh` reads it in any case. Null when there is
 * none.
 *
 * @throws CredentialsUnavailableError which names the file and shows nothing of its content
 */
export async function readDockerConfigFile(
  path: string,
  known: DockerConfigFile | null,
  fresh: boolean,
): Promise<DockerConfigFile | null> {
  const before = known?.path === path ? known : null;
  try {
    if (!fresh && before !== null && stampOf(await stat(path, { bigint: true })) === before.stamp) return before;
    const found = await readBoundedFile(path, maxDockerConfigBytes);
    if (found.kind === 'not-a-file') {
      throw new CredentialsUnavailableError('config-unreadable', `Docker's configuration ${path} is not a file`);
    }
    if (found.kind === 'too-large') {
      throw new CredentialsUnavailableError(
        'config-malformed',
        `Docker's configuration ${path} is larger than ${maxDockerConfigBytes} bytes`,
      );
    }
    const stamp = stampOf(found.stats);
    return before?.hasText(found.text) === true
      ? Object.freeze({ ...before, stamp })
      : parseDockerConfigFile(found.text, path, stamp);
  } catch (error) {
    if (error instanceof CredentialsUnavailableError) throw error;
    const code = fileErrorCode(error) ?? 'unknown error';
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw new CredentialsUnavailableError(
      'config-unreadable',
      `Docker's configuration ${path} could not be read (${code})`,
    );
  }
}

/**
 * Parses the text of a `config.json`; an empty one is an empty configuration, as in Docker.
 *
 * @throws CredentialsUnavailableError which names the file and shows nothing of its content
 */
export function parseDockerConfigFile(text: string, path: string, stamp: string): DockerConfigFile {
  const malformed = (problem: string): CredentialsUnavailableError =>
    new CredentialsUnavailableError('config-malformed', `Docker's configuration ${path} ${problem}`);
  const tableOf = (value: unknown, name: string): ReadonlyMap<string, unknown> => {
    if (value === undefined || value === null) return new Map();
    if (!isObject(value)) throw malformed(`has ${name} that are not an object`);
    return new Map(Object.entries(value));
  };

  let parsed: unknown;
  try {
    parsed = text.trim() === '' ? {} : JSON.parse(text);
  } catch {
    throw malformed('is not JSON');
  }
  if (!isObject(parsed)) throw malformed('is not a JSON object');
  const helpers = tableOf(parsed['credHelpers'], 'credHelpers');
  const entries = tableOf(parsed['auths'], 'auths');
  const store = parsed['credsStore'] ?? '';
  if (typeof store !== 'string') throw malformed('has a credsStore that is not a string');

  return Object.freeze({
    path,
    stamp,
    version: Symbol(path),
    hasText: (other) => other === text,
    helperFor: (host) => {
      const keys = keysOf(host);
      const own = keys.find((key) => helpers.has(key));
      const helper = own === undefined ? store : helpers.get(own);
      if (typeof helper !== 'string') throw malformed(`has a credHelper for ${host} that is not a string`);
      // An empty helper of a registry takes it out of the credsStore.
      return helper === '' ? null : { helper, serverKey: own ?? keys[0] ?? host };
    },
    credentialsFor: (host) => {
      const entry = findEntry(entries, host);
      if (entry === undefined || entry === null) return null;
      const credentials = isObject(entry) ? readEntry(entry) : 'malformed';
      if (credentials === 'malformed') throw malformed(`has a malformed entry for ${host} in auths`);
      return credentials;
    },
  } satisfies DockerConfigFile);
}

/** What Docker itself keeps the credentials of Docker Hub under. */
const hubKey = 'https://index.docker.io/v1/';
const hubKeys: readonly string[] = [hubKey, 'index.docker.io', dockerHub, dockerHubApi];

/** The names under which a registry may be written down, the usual one first. */
function keysOf(host: string): readonly string[] {
  return host === dockerHub ? hubKeys : [host.toLowerCase()];
}

/** Docker Desktop keeps tokens of its own under `https://index.docker.io/v1/access-token`: nothing a registry accepts. */
const hubPaths: readonly string[] = ['', 'v1', 'v2'];

function findEntry(entries: ReadonlyMap<string, unknown>, host: string): unknown {
  const keys = keysOf(host);
  const exact = keys.find((key) => entries.has(key));
  if (exact !== undefined) return entries.get(exact);
  // Old versions wrote whole URLs: those are matched by host and port, as Docker does.
  for (const [key, entry] of entries) {
    const [keyHost = '', ...path] = key
      .toLowerCase()
      .replace(/^https?:\/\//, '')
      .split('/');
    if (!keys.includes(keyHost)) continue;
    if (host === dockerHub && !hubPaths.includes(path.join('/').replace(/\/$/, ''))) continue;
    return entry;
  }
  return undefined;
}

function readEntry(entry: Readonly<Record<string, unknown>>): Credentials | null | 'malformed' {
  const fieldOf = (name: string): unknown => {
    const value = entry[name];
    return value === '' || value === null ? undefined : value;
  };
  // The order in which a Docker daemon prefers them. An entry with an identity token has an `auth` without a password.
  const registryToken = fieldOf('registrytoken');
  if (registryToken !== undefined) return checked({ registryToken });
  const identityToken = fieldOf('identitytoken');
  if (identityToken !== undefined) return checked({ identityToken });
  const auth = fieldOf('auth');
  if (auth !== undefined) return readAuth(auth);
  const username = fieldOf('username');
  if (username !== undefined) return checked({ username, password: entry['password'] });
  // `docker login` leaves an empty entry behind when a helper keeps the secret.
  return null;
}

/** Standard base64 of `user:password`; the password may hold colons. */
function readAuth(auth: unknown): Credentials | 'malformed' {
  if (typeof auth !== 'string') return 'malformed';
  const base64 = auth.replace(/[\r\n]/g, '');
  if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return 'malformed';
  const text = Buffer.from(base64, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 0) return 'malformed';
  // Docker cuts the zero bytes off that some tools pad with.
  const password = text.slice(colon + 1).replace(/^\0+|\0+$/g, '');
  return checked({ username: text.slice(0, colon), password });
}

function checked(value: unknown): Credentials | 'malformed' {
  const result = checkCredentials(value);
  return 'credentials' in result ? result.credentials : 'malformed';
}
