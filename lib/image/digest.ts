import { createHash, type Hash } from 'node:crypto';
import type { Digest } from '../vocabulary/digest.js';

/**
 * The algorithms registered by the image specification; no other is accepted anywhere, weaker ones least of all.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#registered-algorithms
 */
export type DigestAlgorithm = 'sha256' | 'sha512';

/** Lower case only, as the specification demands: two spellings of one digest would be two cache keys. */
const digestPattern = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;

/** Reads `sha256:<64 hex>` or `sha512:<128 hex>`, lower case; anything else is null. Never throws. */
export function parseDigest(text: string): Digest | null {
  return digestPattern.test(text) ? (text as Digest) : null;
}

export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256';
}

/** The part after the colon: 64 or 128 lower-case hexadecimal digits, safe as a file name. */
export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

/** The digest of these bytes; with sha256 unless told otherwise. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return asDigest(algorithm, createHash(algorithm).update(bytes));
}

/** Hashes bytes as they arrive. */
export interface Digester {
  update(bytes: Uint8Array): void;
  /** The digest of everything so far. May be asked at any time and again: more bytes can follow. */
  digest(): Digest;
  /** An independent digester that has seen the same bytes. */
  copy(): Digester;
}

export function createDigester(algorithm: DigestAlgorithm): Digester {
  return digesterOn(algorithm, createHash(algorithm));
}

function digesterOn(algorithm: DigestAlgorithm, hash: Hash): Digester {
  return {
    update: (bytes) => {
      hash.update(bytes);
    },
    // Node's Hash is spent by its own digest(); only a copy may be finished.
    digest: () => asDigest(algorithm, hash.copy()),
    copy: () => digesterOn(algorithm, hash.copy()),
  };
}

function asDigest(algorithm: DigestAlgorithm, hash: Hash): Digest {
  return `${algorithm}:${hash.digest('hex')}` as Digest;
}
