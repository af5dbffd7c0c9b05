import { parseDigest } from '../image/digest.js';
import type { Digest } from '../vocabulary/digest.js';
import type { RequestKind } from './request-log.js';

/** What the path of a request names; a malformed name keeps what was written. */
export type RequestTarget =
  | { readonly kind: 'ping' | 'catalog' | 'token' | 'unknown' }
  | { readonly kind: 'tags'; readonly repository: string }
  | {
      readonly kind: 'manifest';
      readonly repository: string;
      readonly reference: string;
      readonly digest: Digest | null;
    }
  | { readonly kind: 'blob'; readonly repository: string; readonly reference: string; readonly digest: Digest | null };

/** Where a double issues tokens. */
export const tokenPath = '/token';

const manifestPath = /^\/v2\/(.+)\/manifests\/([^/]+)$/;
const blobPath = /^\/v2\/(.+)\/blobs\/([^/]+)$/;
const tagsPath = /^\/v2\/(.+)\/tags\/list$/;
const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const repositoryPattern = new RegExp(`^${component}(?:/${component})*$`);
const tagPattern = /^\w[\w.-]{0,127}$/;

/** Reads the path of a request to a registry. Never throws. */
export function parseTarget(path: string): RequestTarget {
  if (path === '/v2/' || path === '/v2') return { kind: 'ping' };
  if (path === '/v2/_catalog') return { kind: 'catalog' };
  if (path === tokenPath) return { kind: 'token' };
  const tags = tagsPath.exec(path);
  if (tags?.[1] !== undefined) return { kind: 'tags', repository: tags[1] };
  const blob = blobPath.exec(path);
  if (blob?.[1] !== undefined && blob[2] !== undefined) {
    return { kind: 'blob', repository: blob[1], reference: blob[2], digest: parseDigest(blob[2]) };
  }
  const manifest = manifestPath.exec(path);
  if (manifest?.[1] !== undefined && manifest[2] !== undefined) {
    return { kind: 'manifest', repository: manifest[1], reference: manifest[2], digest: parseDigest(manifest[2]) };
  }
  return { kind: 'unknown' };
}

export function isRepositoryName(text: string): boolean {
  return repositoryPattern.test(text) && text.length <= 255;
}

export function isTag(text: string): boolean {
  return tagPattern.test(text);
}

/** The repository and the tag or digest that a target names, for the log and the scope of faults. */
export function namesOf(target: RequestTarget): {
  readonly kind: RequestKind;
  readonly repository: string | null;
  readonly object: string | null;
} {
  return {
    kind: target.kind,
    repository: 'repository' in target ? target.repository : null,
    object: 'reference' in target ? target.reference : null,
  };
}
