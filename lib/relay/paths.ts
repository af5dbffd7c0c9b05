import { parseDigest } from '../image/digest.js';
import type { Digest } from '../vocabulary/digest.js';

/** What a request to the relay is about. Whatever is not in the grammar is `unknown`, so nothing is ever decoded. */
export type RelayTarget =
  | { readonly kind: 'ping' | 'unknown' }
  | { readonly kind: 'manifest'; readonly repository: string; readonly tag: string }
  | { readonly kind: 'manifest'; readonly repository: string; readonly digest: Digest }
  | { readonly kind: 'blob'; readonly repository: string; readonly digest: Digest }
  | { readonly kind: 'referrers'; readonly repository: string };

const component = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const repository = `(?<repository>${component}(?:/${component})*)`;
const manifestPath = new RegExp(`^/v2/${repository}/manifests/(?<object>[A-Za-z0-9_:.-]{1,256})$`);
const blobPath = new RegExp(`^/v2/${repository}/blobs/(?<object>[a-z0-9]+:[a-f0-9]+)$`);
const referrersPath = new RegExp(`^/v2/${repository}/referrers/[a-z0-9]+:[a-f0-9]+$`);

/** Longer ones name nothing: 255 characters of repository, 135 of digest, and what is around them. */
const maxPathLength = 512;

/**
 * Reads the target of a request line. The query is ignored: containerd adds `?ns=` for mirrors. Never throws.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#endpoints
 */
export function parseTarget(target: string): RelayTarget {
  const query = target.indexOf('?');
  const path = query === -1 ? target : target.slice(0, query);
  if (path === '/v2/' || path === '/v2') return { kind: 'ping' };
  if (path.length > maxPathLength) return { kind: 'unknown' };

  const blob = blobPath.exec(path)?.groups;
  if (blob !== undefined) {
    const digest = parseDigest(blob['object'] ?? '');
    return digest === null ? { kind: 'unknown' } : { kind: 'blob', repository: blob['repository'] ?? '', digest };
  }
  const manifest = manifestPath.exec(path)?.groups;
  if (manifest !== undefined) {
    const object = manifest['object'] ?? '';
    const digest = parseDigest(object);
    const of = { kind: 'manifest', repository: manifest['repository'] ?? '' } as const;
    return digest === null ? { ...of, tag: object } : { ...of, digest };
  }
  const referrers = referrersPath.exec(path)?.groups;
  if (referrers !== undefined) return { kind: 'referrers', repository: referrers['repository'] ?? '' };
  return { kind: 'unknown' };
}
