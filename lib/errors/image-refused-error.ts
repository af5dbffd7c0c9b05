import { hasErrorName, PullFailoverError } from './pull-failover-error.js';

/**
 * The host's own options forbid this image: it is in no replica set (`unlisted: 'refuse'`), `allowHost` did not say
 * yes, none of its registries may be contacted (`contact: false`), or an operator has banned all of them.
 */
export class ImageRefusedError extends PullFailoverError {
  override readonly name = 'ImageRefusedError';
  readonly image: string;
  readonly option: 'unlisted' | 'allowHost' | 'contact' | 'ban';

  constructor(image: string, option: ImageRefusedError['option'], message: string) {
    super(message, { code: 'ERR_IMAGE_REFUSED', retryable: false });
    this.image = image;
    this.option = option;
  }
}

/** Tells whether a thrown value is an `ImageRefusedError`, also of another installed copy of this package. */
export function isImageRefusedError(value: unknown): value is ImageRefusedError {
  return hasErrorName(value, 'ImageRefusedError');
}
