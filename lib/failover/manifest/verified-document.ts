import { UnsupportedImageError } from '../../errors/unsupported-image-error.js';
import { ManifestError, parseManifest, type ImageDocument } from '../../image/manifest.js';

/**
 * Reads a document whose digest is known to be right: what is wrong with it is wrong at every registry.
 *
 * @param mediaType what the descriptor says it is; null when nothing does
 * @throws UnsupportedImageError
 */
export function readVerifiedDocument(image: string, bytes: Uint8Array, mediaType: string | null): ImageDocument {
  try {
    return parseManifest(bytes, mediaType);
  } catch (error) {
    throw error instanceof ManifestError ? unsupportedImage(image, error) : error;
  }
}

/** What a manifest that no registry can mend makes of its image. */
export function unsupportedImage(image: string, error: ManifestError): UnsupportedImageError {
  return new UnsupportedImageError(image, problemOf(error), `${image}: ${error.message}`, error);
}

function problemOf({ problem }: ManifestError): UnsupportedImageError['problem'] {
  switch (problem) {
    case 'schema-1':
    case 'not-an-image':
    case 'too-large':
      return problem;
    case 'malformed-json':
    case 'malformed':
    case 'media-type-mismatch':
      return 'malformed';
  }
}
