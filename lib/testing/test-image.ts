import { createDigester, type DigestAlgorithm, digestOf } from '../image/digest.js';
import type { Digest } from '../vocabulary/digest.js';
import type { ByteSource } from './byte-source.js';

/** A layer or config of a test image. */
export interface TestBlob {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly sizeBytes: number;
  /** Yields the bytes from `from` (default 0) up to, not including, `to` (default the end). */
  read(from?: number, to?: number): Iterable<Uint8Array>;
}

/** A manifest or index of a test image. */
export interface TestDocument {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/** The manifest of one platform, with what it names. */
export interface TestManifest extends TestDocument {
  /** As written in the options, `linux/arm64/v8`. */
  readonly platform: string;
  readonly config: TestBlob;
  readonly layers: readonly TestBlob[];
}

/** An image that a registry double can serve, and that a spec can compare with. */
export interface TestImage {
  /** What a tag of this image resolves to. */
  readonly digest: Digest;
  readonly mediaType: string;
  /** The index when it has several platforms, else its only manifest. */
  readonly top: TestDocument;
  /** One per platform, in the order given. */
  readonly manifests: readonly TestManifest[];
  /** Every document: the top one, the manifests, attestations. */
  readonly documents: readonly TestDocument[];
  /** Every blob once. */
  readonly blobs: readonly TestBlob[];
  /** The config of the first platform. */
  readonly config: TestBlob;
  /** The layers of the first platform, in the order of its manifest. */
  readonly layers: readonly TestBlob[];
  /** The blobs of the first platform, each once: what a pull of it has to fetch. */
  readonly blobBytes: number;
}

/** Reads the whole content once, for its digest. */
export function testBlob(source: ByteSource, mediaType: string, algorithm: DigestAlgorithm): TestBlob {
  const digester = createDigester(algorithm);
  for (const chunk of source.read(0, source.sizeBytes)) digester.update(chunk);
  return {
    digest: digester.digest(),
    mediaType,
    sizeBytes: source.sizeBytes,
    read: (from = 0, to = source.sizeBytes) => source.read(from, to),
  };
}

export function testDocument(content: unknown, mediaType: string, algorithm: DigestAlgorithm): TestDocument {
  const bytes = Buffer.from(JSON.stringify(content, null, 2));
  return { digest: digestOf(bytes, algorithm), mediaType, bytes };
}

/** Joins what belongs to one image. */
export function testImage(
  top: TestDocument,
  manifests: readonly TestManifest[],
  attestations: readonly { readonly document: TestDocument; readonly blobs: readonly TestBlob[] }[],
): TestImage {
  const first = manifests[0];
  if (first === undefined) throw new TypeError('A test image needs a manifest');
  const documents = byDigest([top, ...manifests, ...attestations.map(({ document }) => document)]);
  const blobs = byDigest([
    ...manifests.flatMap(({ config, layers }) => [config, ...layers]),
    ...attestations.flatMap((attestation) => attestation.blobs),
  ]);
  return {
    digest: top.digest,
    mediaType: top.mediaType,
    top,
    manifests,
    documents,
    blobs,
    config: first.config,
    layers: first.layers,
    blobBytes: byDigest([first.config, ...first.layers]).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  };
}

function byDigest<T extends { readonly digest: Digest }>(items: readonly T[]): readonly T[] {
  return [...new Map(items.map((item) => [item.digest, item])).values()];
}
