export const ociIndex = 'application/vnd.oci.image.index.v1+json';
export const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
const dockerList = 'application/vnd.docker.distribution.manifest.list.v2+json';
const dockerManifest = 'application/vnd.docker.distribution.manifest.v2+json';

/**
 * What to ask a registry for, in order of preference, for an `Accept` header. Schema 1 is not among them: a registry
 * that holds nothing else then says so, instead of converting.
 */
export const manifestMediaTypes: readonly string[] = [ociIndex, dockerList, ociManifest, dockerManifest];

/**
 * What a media type says of a document.
 *
 * - `index`, `manifest`: of an image, OCI's or Docker's
 * - `schema-1`: Docker's first format, signed or not
 * - `silent`: none, or one that servers give when they know nothing better
 * - `page`: a web page or the like; it comes from something in between, not from a registry
 * - `other`: anything else
 */
export type MediaTypeMeaning = 'index' | 'manifest' | 'schema-1' | 'silent' | 'page' | 'other';

const meanings: ReadonlyMap<string, MediaTypeMeaning> = new Map<string, MediaTypeMeaning>([
  [ociIndex, 'index'],
  [dockerList, 'index'],
  [ociManifest, 'manifest'],
  [dockerManifest, 'manifest'],
  ['application/vnd.docker.distribution.manifest.v1+json', 'schema-1'],
  ['application/vnd.docker.distribution.manifest.v1+prettyjws', 'schema-1'],
  ['', 'silent'],
  ['application/octet-stream', 'silent'],
  ['binary/octet-stream', 'silent'],
  ['text/plain', 'silent'],
  ['application/json', 'silent'],
  ['text/html', 'page'],
  ['application/xhtml+xml', 'page'],
  ['text/xml', 'page'],
  ['application/xml', 'page'],
]);

export function meaningOf(mediaType: string): MediaTypeMeaning {
  return meanings.get(mediaType) ?? 'other';
}

/** The media type of a `Content-Type` header: lower case, without parameters; empty when there is none. */
export function plainMediaType(contentType: string | null): string {
  const text = contentType ?? '';
  const semicolon = text.indexOf(';');
  return (semicolon === -1 ? text : text.slice(0, semicolon)).trim().toLowerCase();
}

/** Configs that make a manifest an image. */
const imageConfigs: ReadonlySet<string> = new Set([
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
]);

export function isImageConfig(mediaType: string): boolean {
  return imageConfigs.has(mediaType);
}

/**
 * The config of a manifest that has none, being an artifact of another kind.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md#guidance-for-an-empty-descriptor
 */
export const emptyConfig = 'application/vnd.oci.empty.v1+json';
