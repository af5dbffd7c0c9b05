import { UnsupportedImageError } from '../../errors/unsupported-image-error.js';
import type { Descriptor } from '../../image/descriptor.js';
import { digestAlgorithm, digestOf } from '../../image/digest.js';

/** The bytes of a blob that nobody has to be asked for; null where somebody has to. @throws UnsupportedImageError */
export function embeddedBytes(image: string, { digest, size, data }: Descriptor): Uint8Array | null {
  if (data !== undefined) return data;
  if (size > 0) return null;
  // Nothing has to be fetched to know nothing; a Range of it could not even be asked for.
  const empty = new Uint8Array(0);
  if (digestOf(empty, digestAlgorithm(digest)) === digest) return empty;
  throw new UnsupportedImageError(image, 'malformed', `${image}: ${digest} cannot have 0 bytes`);
}
