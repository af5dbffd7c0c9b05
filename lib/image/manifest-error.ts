/**
 * What is wrong with a manifest.
 *
 * - `schema-1`: the format that registries and engines gave up; no registry can help
 * - `malformed-json`: not JSON at all
 * - `malformed`: JSON, or a web page, that is no manifest
 * - `media-type-mismatch`: content type, own media type and content disagree, so that two readers would see two images
 * - `too-large`: more bytes, or more entries, than are looked at
 * - `not-an-image`: an artifact of another kind
 */
export type ManifestProblem =
  'schema-1' | 'malformed-json' | 'malformed' | 'media-type-mismatch' | 'too-large' | 'not-an-image';

/** A manifest cannot be used. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
  readonly problem: ManifestProblem;
  /**
   * Where it was seen. `document`: in the bytes, so every registry that holds them says the same.
   * `content-type`: in what this registry said of them; another one may say it right.
   */
  readonly seenIn: 'document' | 'content-type';

  /** @param message a whole sentence, in which text of the peer is redacted */
  constructor(
    problem: ManifestProblem,
    message: string,
    seenIn: ManifestError['seenIn'] = 'document',
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.problem = problem;
    this.seenIn = seenIn;
  }
}
