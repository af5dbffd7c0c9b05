import { UnsupportedImageError } from '../../errors/unsupported-image-error.js';
import type { Descriptor } from '../../image/descriptor.js';
import type { ImageDocument } from '../../image/manifest.js';
import { choosePlatform, formatPlatform, type Platform } from '../../image/platform.js';
import type { Digest } from '../../vocabulary/digest.js';
import type { FetchedManifest } from './ask-manifest.js';
import type { HeartContext } from '../context.js';
import { fetchManifest } from './fetch-manifest.js';
import { readVerifiedDocument } from './verified-document.js';

/** A document of an image, with the bytes it was published with. */
export interface TreeDocument {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/** One image for one platform: everything to fetch is known by digest. */
export interface ImageTree {
  /** What the tag resolved to: the outermost document. */
  readonly root: TreeDocument;
  /** The documents from the root down to the manifest, both included; one when there is no index. */
  readonly documents: readonly TreeDocument[];
  /** The platform's manifest. */
  readonly manifest: TreeDocument;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** Finds a document that is here already, by digest; null when it is not. */
export type LocalDocuments = (digest: Digest, maxBytes: number) => Promise<Uint8Array | null>;

/** Indexes inside indexes: as deep as anybody publishes them, and no deeper. */
const maxDepth = 4;

/**
 * Goes from the root document down to the manifest of one platform. Child documents are asked of every candidate:
 * one that does not have the index may well have the manifest.
 *
 * @throws UnsupportedImageError when there is no manifest for this platform; PullExhaustedError
 */
export async function loadImageTree(
  context: HeartContext,
  root: FetchedManifest,
  platform: Platform,
  local: LocalDocuments,
): Promise<ImageTree> {
  const documents: TreeDocument[] = [documentOf(root.digest, root.bytes, root.document)];
  let current = root.document;
  while (current.kind === 'index') {
    if (documents.length >= maxDepth) {
      throw new UnsupportedImageError(
        context.image,
        'malformed',
        `${context.image}: more than ${maxDepth} indexes inside each other`,
      );
    }
    const child = choosePlatform(current.manifests, platform);
    if (child === null) throw noSuchPlatform(context.image, current.manifests, platform);
    const { bytes, document } = await childDocument(context, child, local);
    documents.push(documentOf(child.digest, bytes, document));
    current = document;
  }
  const [first] = documents;
  const manifest = documents.at(-1);
  if (first === undefined || manifest === undefined) throw new Error('a tree has a root');
  return { root: first, documents, manifest, config: current.config, layers: current.layers };
}

async function childDocument(
  context: HeartContext,
  child: Descriptor,
  local: LocalDocuments,
): Promise<{ readonly bytes: Uint8Array; readonly document: ImageDocument }> {
  const bytes = child.data ?? (await local(child.digest, child.size));
  if (bytes !== null) return { bytes, document: readVerifiedDocument(context.image, bytes, child.mediaType) };
  const fetched = await fetchManifest(context, { digest: child.digest });
  if (child.mediaType !== '' && fetched.document.mediaType !== child.mediaType) {
    throw new UnsupportedImageError(
      context.image,
      'malformed',
      `${context.image}: ${child.digest} is a ${fetched.document.mediaType}, its index says ${child.mediaType}`,
    );
  }
  if (fetched.bytes.length !== child.size) {
    throw new UnsupportedImageError(
      context.image,
      'malformed',
      `${context.image}: ${child.digest} has ${fetched.bytes.length} bytes, its index says ${child.size}`,
    );
  }
  return fetched;
}

function documentOf(digest: Digest, bytes: Uint8Array, document: ImageDocument): TreeDocument {
  return { digest, bytes, mediaType: document.mediaType };
}

function noSuchPlatform(image: string, manifests: readonly Descriptor[], wanted: Platform): UnsupportedImageError {
  const there = manifests.flatMap(({ platform }) => (platform === undefined ? [] : [formatPlatform(platform)]));
  const shown = [...new Set(there)].filter((platform) => !platform.startsWith('unknown')).slice(0, 20);
  return new UnsupportedImageError(
    image,
    'no-such-platform',
    `${image} has no manifest for ${formatPlatform(wanted)}; it has ${shown.length === 0 ? 'none that names one' : shown.join(', ')}`,
  );
}
