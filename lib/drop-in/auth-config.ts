import { parseHost } from '../image/registry-host.js';
import type { Reference } from '../image/reference.js';
import { checkCredentials, type Credentials } from '../registries/credentials.js';
import { canonicalHost } from '../registries/prefix.js';

/**
 * Reads what a caller of dockerode gives as `authconfig`: an object as Docker's API describes it, or one that holds it
 * encoded (`key`, `base64`).
 *
 * @returns what may be shown to the image's own registry; null when there is nothing, when it names another registry
 *   (`serveraddress`), and when it cannot be credentials, which Docker too takes for none
 */
export function credentialsFor(reference: Reference, authConfig: unknown): Credentials | null {
  const fields = decode(authConfig);
  if (fields === null || !names(fields['serveraddress'], reference)) return null;
  const fieldOf = (name: string): unknown => (fields[name] === '' ? undefined : fields[name]);
  // The order in which a Docker daemon prefers them.
  const registryToken = fieldOf('registrytoken');
  const identityToken = fieldOf('identitytoken');
  const username = fieldOf('username');
  const found =
    registryToken !== undefined
      ? { registryToken }
      : identityToken !== undefined
        ? { identityToken }
        : { username, password: fields['password'] ?? '' };
  const checked = checkCredentials(found);
  return 'credentials' in checked ? checked.credentials : null;
}

function decode(authConfig: unknown): Readonly<Record<string, unknown>> | null {
  if (!isObject(authConfig)) return null;
  const encoded = authConfig['key'] ?? authConfig['base64'];
  if (typeof encoded !== 'string' || encoded === '') return authConfig;
  try {
    const decoded: unknown = JSON.parse(Buffer.from(encoded, 'base64url').toString('utf8'));
    return isObject(decoded) ? decoded : null;
  } catch {
    return null;
  }
}

/** An empty address means: whatever registry is asked. */
function names(address: unknown, reference: Reference): boolean {
  if (address === undefined || address === null || address === '') return true;
  if (typeof address !== 'string') return false;
  // `https://index.docker.io/v1/`, as Docker itself writes Docker Hub.
  const [name = ''] = address
    .toLowerCase()
    .replace(/^https?:\/\//, '')
    .split('/');
  const host = parseHost(name);
  return host !== null && canonicalHost(host) === canonicalHost(reference.host);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
