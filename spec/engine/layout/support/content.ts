import { createCipheriv } from 'node:crypto';
import { digestOf } from '../../../../lib/image/digest.js';
import type { Digest } from '../../../../lib/vocabulary/digest.js';

/** A blob that is the same in every process that names the same seed. */
export interface SeededBlob {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
  readonly size: number;
  readonly mediaType: string;
}

export function seededBlob(seed: number, size: number): SeededBlob {
  const key = Buffer.alloc(16);
  key.writeUInt32BE(seed);
  const bytes = createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
  return { bytes, digest: digestOf(bytes), size, mediaType: 'application/vnd.oci.image.layer.v1.tar' };
}
