import { hasErrorName, PullFailoverError } from './pull-failover-error.js';

/** `pullPolicy: 'never'`, and the engine does not have the image for this platform. */
export class ImageNotCachedError extends PullFailoverError {
  override readonly name = 'ImageNotCachedError';
  readonly image: string;
  readonly engine: string;

  constructor(image: string, engine: string, platform: string) {
    super(`Engine ${engine} does not have ${image} for ${platform}, and pullPolicy 'never' forbids asking a registry`, {
      code: 'ERR_IMAGE_NOT_CACHED',
      retryable: false,
    });
    this.image = image;
    this.engine = engine;
  }
}

/** Tells whether a thrown value is an `ImageNotCachedError`, also of another installed copy of this package. */
export function isImageNotCachedError(value: unknown): value is ImageNotCachedError {
  return hasErrorName(value, 'ImageNotCachedError');
}
