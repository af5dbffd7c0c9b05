import { hasErrorName, PullFailoverError } from './pull-failover-error.js';

/** The image exists, but it cannot be pulled: schema 1, no such platform, not an image, too large a manifest. */
export class UnsupportedImageError extends PullFailoverError {
  override readonly name = 'UnsupportedImageError';
  readonly image: string;
  readonly problem: 'schema-1' | 'no-such-platform' | 'not-an-image' | 'malformed' | 'too-large' | 'foreign-layer';

  constructor(image: string, problem: UnsupportedImageError['problem'], message: string, cause?: unknown) {
    super(message, { code: 'ERR_IMAGE_UNSUPPORTED', retryable: false, ...(cause === undefined ? {} : { cause }) });
    this.image = image;
    this.problem = problem;
  }
}

/** Tells whether a thrown value is an `UnsupportedImageError`, also of another installed copy of this package. */
export function isUnsupportedImageError(value: unknown): value is UnsupportedImageError {
  return hasErrorName(value, 'UnsupportedImageError');
}
