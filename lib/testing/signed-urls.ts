import { randomBytes } from 'node:crypto';
import { monotonicMs } from '../clock/time.js';
import { digestAlgorithm, digestHex } from '../image/digest.js';
import type { Digest } from '../vocabulary/digest.js';

/** What a signed URL stands for. */
export interface SignedGrant {
  readonly repository: string;
  readonly digest: Digest;
  /** Sent along by the registry's side, for a proxy whose upstream wants it. */
  readonly authorization: string | undefined;
}

/** URLs of a storage service: valid for one method, one object and some time, as presigned ones are. */
export interface SignedUrls {
  sign(grant: SignedGrant, options: { readonly expired: boolean }): string;
  /** What a request for this path and query is granted, or why it is not. */
  check(method: string, target: string): SignedGrant | 'expired' | 'signature';
  /** Whether an expired URL of this blob was refused before. */
  wasRefused(repository: string, digest: Digest): boolean;
  /** Forgets which were refused: faults count anew. */
  forgetRefused(): void;
}

const signatureKey = 'X-Amz-Signature';

/** @param storageUrl where the storage answers */
export function createSignedUrls(storageUrl: string, expiresMs: number): SignedUrls {
  const granted = new Map<string, { readonly grant: SignedGrant; readonly path: string; readonly untilMs: number }>();
  const refused = new Set<string>();
  const keyOf = (repository: string, digest: string): string => `${repository}@${digest}`;
  return {
    sign: (grant, { expired }) => {
      const hex = digestHex(grant.digest);
      const path = `/docker/registry/v2/blobs/${digestAlgorithm(grant.digest)}/${hex.slice(0, 2)}/${hex}/data`;
      const signature = randomBytes(32).toString('hex');
      granted.set(signature, { grant, path, untilMs: expired ? -Infinity : monotonicMs() + expiresMs });
      const expiresSeconds = Math.max(1, Math.round(Math.min(expiresMs, 604_800_000) / 1000));
      return `${storageUrl}${path}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=${expiresSeconds}&X-Amz-SignedHeaders=host&${signatureKey}=${signature}`;
    },
    check: (method, target) => {
      const url = new URL(target, storageUrl);
      const found = granted.get(url.searchParams.get(signatureKey) ?? '');
      if (found === undefined || found.path !== url.pathname || method !== 'GET') return 'signature';
      if (monotonicMs() < found.untilMs) return found.grant;
      refused.add(keyOf(found.grant.repository, found.grant.digest));
      return 'expired';
    },
    wasRefused: (repository, digest) => refused.has(keyOf(repository, digest)),
    forgetRefused: () => {
      refused.clear();
    },
  };
}
