import { parsePrefix, type Reference } from '../image/reference.js';
import { dockerHub } from '../image/registry-host.js';

/** Where Docker Hub's API is; people write it for Docker Hub itself. */
export const dockerHubApi = 'registry-1.docker.io';

/** A registry's prefix in the one spelling in which two can be compared. */
export interface Prefix {
  readonly host: string;
  /** `''` for a whole host. */
  readonly path: string;
  /** The host and the path: what events and reports call the registry. */
  readonly text: string;
}

/** The beginning of an image's name, and what follows it. */
export interface NameSplit {
  readonly prefix: string;
  readonly rest: string;
}

/**
 * Parses a registry's prefix, such as `quay.io/aptible` or `10.0.0.5:5000/mirror/quay.io/aptible`.
 *
 * @throws InvalidReferenceError
 */
export function canonicalPrefix(text: string): Prefix {
  const { host, path } = parsePrefix(text);
  return prefixOf(canonicalHost(host), path);
}

/** Returns the prefix that is a whole host. */
export function hostPrefix(host: string): Prefix {
  return prefixOf(canonicalHost(host), '');
}

/** One name for Docker Hub; every other host has one spelling already. */
export function canonicalHost(host: string): string {
  return host === dockerHubApi ? dockerHub : host;
}

/** Splits an image's name after each of its whole components, the longest beginning first. */
export function splitsOf(reference: Reference): readonly NameSplit[] {
  const host = canonicalHost(reference.host);
  const components = reference.path.split('/');
  const splits: NameSplit[] = [];
  for (let count = components.length; count >= 0; count -= 1) {
    splits.push({
      prefix: [host, ...components.slice(0, count)].join('/'),
      rest: components.slice(count).join('/'),
    });
  }
  return splits;
}

function prefixOf(host: string, path: string): Prefix {
  return Object.freeze({ host, path, text: path === '' ? host : `${host}/${path}` });
}
