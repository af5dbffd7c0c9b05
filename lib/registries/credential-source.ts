import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { CredentialsUnavailableError } from './credentials-unavailable.js';
import { checkCredentials, type Credentials, type CredentialsCallback, type CredentialSource } from './credentials.js';
import { shareLookup } from './shared-lookup.js';

/**
 * How long the answer of a callback or a helper is used again, in milliseconds. Long enough that the hundreds of
 * requests of a pull ask once; short enough that a `docker login` or a rotated secret counts within a minute even
 * where nothing is rejected.
 */
export const credentialReuseMs = 60_000;

/**
 * How long a credentials callback may take, in milliseconds. As a credential helper: one that asks a vault or a cloud
 * answers within a second or two, and a pull should not wait longer for it than for a registry.
 */
export const callbackLimitMs = 10_000;

/** Always anonymous. */
export const anonymous: CredentialSource = Object.freeze({
  get: (query) => settled(null, query?.signal),
} satisfies CredentialSource);

/** A source that always answers with the same credentials. */
export function fixedCredentials(credentials: Credentials): CredentialSource {
  return Object.freeze({ get: (query) => settled(credentials, query?.signal) } satisfies CredentialSource);
}

/**
 * Reads the option `credentials` of a registry or of a pull. A callback is told `registry`.
 *
 * @throws InvalidOptionError which names the key and never shows the value
 */
export function parseCredentials(value: unknown, optionPath: string, registry: string): CredentialSource {
  if (value === 'none') return anonymous;
  if (typeof value === 'function') return callbackCredentials(value as CredentialsCallback, registry);
  if (typeof value !== 'object' || value === null) {
    throw new InvalidOptionError(
      optionPath,
      `must be an object with username and password, identityToken, or registryToken, or a callback, or 'none'`,
    );
  }
  const checked = checkCredentials(value);
  if ('problem' in checked) throw new InvalidOptionError(optionPath, checked.problem);
  return fixedCredentials(checked.credentials);
}

function callbackCredentials(callback: CredentialsCallback, registry: string): CredentialSource {
  const lookup = shareLookup<Credentials | null>(
    async (signal) => {
      let answer: unknown;
      try {
        answer = await callback({ registry, signal });
      } catch {
        // What it threw is the host's own, and may hold the secret it failed to fetch.
        throw new CredentialsUnavailableError('callback-failed', `The credentials callback for ${registry} failed`);
      }
      if (answer === null) return null;
      const checked = checkCredentials(answer);
      if ('credentials' in checked) return checked.credentials;
      throw new CredentialsUnavailableError(
        'callback-malformed',
        `What the credentials callback for ${registry} returned ${checked.problem}`,
      );
    },
    {
      reuseMs: credentialReuseMs,
      limitMs: callbackLimitMs,
      late: () =>
        new CredentialsUnavailableError(
          'callback-late',
          `The credentials callback for ${registry} did not answer within ${callbackLimitMs} ms`,
        ),
    },
  );
  return Object.freeze({ get: (query) => lookup.get(query) } satisfies CredentialSource);
}

async function settled(credentials: Credentials | null, signal: AbortSignal | undefined): Promise<Credentials | null> {
  signal?.throwIfAborted();
  return credentials;
}
