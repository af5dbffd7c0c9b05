import { digestOf } from '../../../lib/image/digest.js';
import type { TestBlob, TestDocument, TestImage, TestManifest } from '../../../lib/testing/index.js';
import type { Digest } from '../../../lib/vocabulary/digest.js';

export const ociIndexType = 'application/vnd.oci.image.index.v1+json';
export const ociManifestType = 'application/vnd.oci.image.manifest.v1+json';

/** A document of any content. */
export function document(content: unknown, mediaType: string): TestDocument {
  const bytes = Buffer.from(typeof content === 'string' ? content : JSON.stringify(content));
  return { digest: digestOf(bytes), mediaType, bytes };
}

/** A blob of these bytes. */
export function blobOf(bytes: Uint8Array, mediaType: string = 'application/vnd.oci.image.layer.v1.tar'): TestBlob {
  return {
    digest: digestOf(bytes),
    mediaType,
    sizeBytes: bytes.length,
    read: (from = 0, to = bytes.length) => [bytes.subarray(from, to)],
  };
}

/** What a document says of another one. */
export function descriptorOf(
  { digest, mediaType, ...rest }: TestBlob | TestDocument,
  more: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> {
  return { mediaType, digest, size: 'bytes' in rest ? rest.bytes.length : rest.sizeBytes, ...more };
}

export interface ImageParts {
  readonly top: TestDocument;
  /** Other documents that the registry has. */
  readonly documents?: readonly TestDocument[];
  readonly config: TestBlob;
  readonly layers: readonly TestBlob[];
}

/** An image that nobody would build, for a registry double to serve. */
export function imageOf({ top, documents = [], config, layers }: ImageParts): TestImage {
  const manifest: TestManifest = { ...top, platform: 'linux/amd64', config, layers };
  const all = new Map<Digest, TestDocument>([top, ...documents].map((each) => [each.digest, each]));
  const blobs = [...new Map([config, ...layers].map((each) => [each.digest, each])).values()];
  return {
    digest: top.digest,
    mediaType: top.mediaType,
    top,
    manifests: [manifest],
    documents: [...all.values()],
    blobs,
    config,
    layers,
    blobBytes: blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  };
}

/** The manifest of a config and layers. */
export function manifestOf(
  config: TestBlob,
  layers: readonly (TestBlob | Readonly<Record<string, unknown>>)[],
): TestDocument {
  return document(
    {
      schemaVersion: 2,
      mediaType: ociManifestType,
      config: descriptorOf(config),
      layers: layers.map((layer) => ('read' in layer ? descriptorOf(layer as TestBlob) : layer)),
    },
    ociManifestType,
  );
}

/** The config of an image for one platform. */
export function configOf(platform: string, note: string = ''): TestBlob {
  const [os, architecture, variant] = platform.split('/');
  const fields = { os, architecture, ...(variant === undefined ? {} : { variant }) };
  return blobOf(
    Buffer.from(JSON.stringify({ ...fields, note, rootfs: { type: 'layers', diff_ids: [] } })),
    'application/vnd.oci.image.config.v1+json',
  );
}
