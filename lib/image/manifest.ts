import { maxAnnotationLength, readDescriptor, type Descriptor } from './descriptor.js';
import { foldKey, parseJsonObject, shown, type JsonObject } from './json-object.js';
import { ManifestError } from './manifest-error.js';
import { emptyConfig, isImageConfig, meaningOf, ociIndex, ociManifest, plainMediaType } from './media-type.js';

export { ManifestError, type ManifestProblem } from './manifest-error.js';
export { manifestMediaTypes } from './media-type.js';
export type { Descriptor } from './descriptor.js';

/** The list of an image's manifests, one for each platform: an OCI index or a Docker manifest list. */
export interface ImageIndex {
  readonly kind: 'index';
  /** In lower case and without parameters. */
  readonly mediaType: string;
  /** In the document's order; attestations and the like included. */
  readonly manifests: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>>;
}

/** One image for one platform: an OCI manifest or Docker's schema 2. */
export interface ImageManifest {
  readonly kind: 'manifest';
  /** In lower case and without parameters. */
  readonly mediaType: string;
  readonly config: Descriptor;
  /** In the document's order; the same layer may be there several times. */
  readonly layers: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>>;
}

/** What a registry answers when it is asked for an image. */
export type ImageDocument = ImageIndex | ImageManifest;

/**
 * 4 MiB, the limit registries are to accept at least, and most set.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-manifests
 */
export const maxManifestBytes: number = 4 * 1024 * 1024;

/** Engines stop at 128 layers, and the largest indexes have a few hundred entries; each one costs state in a pull. */
const maxDescriptors = 4096;

/** The keys that make a document what it is; Go's readers, unlike this one, know them in any letter case. */
const tellingKeys: ReadonlyMap<string, string> = new Map(
  ['schemaVersion', 'mediaType', 'manifests', 'config', 'layers', 'fsLayers'].map((key) => [foldKey(key), key]),
);

/**
 * Reads the document a registry sent for an image. Nothing in it is guessed that two readers could guess differently:
 * its content type, its own media type and its content must agree, as far as each of them says something.
 *
 * @param contentType the `Content-Type` header as it came; a missing or generic one leaves it to the document
 * @throws ManifestError, and nothing else
 * @see https://github.com/opencontainers/image-spec/security/advisories/GHSA-77vh-xpmg-72qh (CVE-2021-41190)
 */
export function parseManifest(bytes: Uint8Array, contentType: string | null): ImageDocument {
  if (bytes.byteLength > maxManifestBytes) {
    throw new ManifestError(
      'too-large',
      `The manifest is too large: ${bytes.byteLength} bytes, more than ${maxManifestBytes}`,
    );
  }
  const announced = plainMediaType(contentType);
  if (meaningOf(announced) === 'page') {
    throw new ManifestError('malformed', `A page of type ${announced} came instead of a manifest`, 'content-type');
  }
  const document = parseJsonObject(bytes);
  const mediaType = agreedMediaType(document, announced);
  return meaningOf(mediaType) === 'index' ? readIndex(document, mediaType) : readManifest(document, mediaType);
}

/** Returns the one media type that header, document and content agree on; it is an index's or a manifest's. */
function agreedMediaType(document: JsonObject, announced: string): string {
  checkSpelling(document);
  const own = plainMediaType(document.word('mediaType') ?? null);
  refuseSchema1(document, own, announced);

  const content = contentOf(document);
  const ownMeaning = meaningOf(own);
  const announcedMeaning = meaningOf(announced);
  if (own !== '') {
    if (announcedMeaning !== 'silent' && announced !== own) {
      throw mismatch(`it calls itself ${shown(own)}, and came as ${shown(announced)}`, 'content-type');
    }
    if (content !== null && content !== ownMeaning) {
      throw mismatch(`it calls itself ${shown(own)}, and has the content of ${named[content]}`, 'document');
    }
    // Nothing contradicts what it says of itself: it is simply something else.
    if (ownMeaning !== 'index' && ownMeaning !== 'manifest') throw notAnImage(`it calls itself ${shown(own)}`);
    return own;
  }
  if (content === null) {
    throw new ManifestError('malformed', 'The manifest is malformed: it has neither manifests nor config and layers');
  }
  if (announcedMeaning !== 'silent') {
    if (content !== announcedMeaning) {
      throw mismatch(`it has the content of ${named[content]}, and came as ${shown(announced)}`, 'content-type');
    }
    return announced;
  }
  // Docker's own formats always name themselves; only OCI documents may leave it out.
  return content === 'index' ? ociIndex : ociManifest;
}

const named = { index: 'an index', manifest: 'a manifest' } as const;

/** With `Manifests` beside `layers`, a reader that ignores case would see another image than one that does not. */
function checkSpelling(document: JsonObject): void {
  for (const key of document.keys) {
    const known = tellingKeys.get(foldKey(key));
    if (known !== undefined && known !== key) {
      throw mismatch(
        `it has the key ${shown(key)}, which some readers take for ${known} and others do not`,
        'document',
      );
    }
  }
}

function refuseSchema1(document: JsonObject, own: string, announced: string): void {
  const version = document.value('schemaVersion');
  const isSchema1 = version === 1 || document.has('fsLayers') || meaningOf(own) === 'schema-1';
  if (!isSchema1 && version !== undefined && version !== 2) {
    throw document.malformed('schemaVersion', `must be 2, got ${shown(version)}`);
  }
  // The header alone is believed only while the document says nothing else.
  const announcedOnly =
    meaningOf(announced) === 'schema-1' && own === '' && version === undefined && contentOf(document) === null;
  if (isSchema1 || announcedOnly) {
    throw new ManifestError(
      'schema-1',
      "The image is in Docker's schema 1 format, which no current engine pulls; push it again with a Docker of 1.10 or newer",
    );
  }
}

/** What the content is, by its keys alone; null when they say nothing. A key with null or an empty list counts too. */
function contentOf(document: JsonObject): 'index' | 'manifest' | null {
  const index = document.has('manifests');
  const manifest = document.has('config') || document.has('layers');
  if (index && manifest) {
    throw mismatch('it has both manifests, as an index, and config or layers, as a manifest', 'document');
  }
  if (index) return 'index';
  return manifest ? 'manifest' : null;
}

function readIndex(document: JsonObject, mediaType: string): ImageIndex {
  const annotations = document.textMap('annotations', maxAnnotationLength);
  return {
    kind: 'index',
    mediaType,
    manifests: readDescriptors(document, 'manifests'),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

function readManifest(document: JsonObject, mediaType: string): ImageManifest {
  const configObject = document.object('config');
  if (configObject === undefined) throw document.malformed('config', 'is missing');
  const config = readDescriptor(configObject);
  refuseArtifact(document, config);
  const annotations = document.textMap('annotations', maxAnnotationLength);
  return {
    kind: 'manifest',
    mediaType,
    config,
    layers: readDescriptors(document, 'layers'),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

/** An empty list is written as null by Go programs; a key that is not there at all is a mistake. */
function readDescriptors(document: JsonObject, key: string): readonly Descriptor[] {
  if (!document.has(key)) throw document.malformed(key, 'is missing');
  return (document.objects(key, maxDescriptors) ?? []).map(readDescriptor);
}

/**
 * Refuses only what is certainly no image. An unusual config without an `artifactType` is let through: old registries
 * have images whose config is called `application/octet-stream`, and engines take others that the future brings.
 */
function refuseArtifact(document: JsonObject, config: Descriptor): void {
  if (config.mediaType === emptyConfig) throw notAnImage('its config is empty');
  const artifactType = document.word('artifactType') ?? '';
  if (artifactType !== '' && !isImageConfig(config.mediaType) && !isImageConfig(artifactType)) {
    throw notAnImage(`it is an artifact of type ${shown(artifactType)}`);
  }
}

function notAnImage(why: string): ManifestError {
  return new ManifestError('not-an-image', `The manifest is not an image's: ${why}`);
}

function mismatch(why: string, seenIn: ManifestError['seenIn']): ManifestError {
  return new ManifestError('media-type-mismatch', `The manifest contradicts itself: ${why}`, seenIn);
}
