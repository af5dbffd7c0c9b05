import { digestAlgorithm, digestHex } from '../../image/digest.js';
import type { Digest } from '../../vocabulary/digest.js';
import { type ArchivedBlob, eachOnce, entryOf } from './docker-archive.js';
import { type ArchiveEntry, smallEntry, tarArchive } from './tar-archive.js';

/** An index or manifest, with the bytes it was published with. */
export interface ArchivedDocument {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/** An image in the form of an OCI image layout. */
export interface OciArchive {
  /** `host/path:tag`, which is what containerd, Docker and Podman give the image. */
  readonly name: string;
  /** What the name stands for; it is one of the documents. */
  readonly root: ArchivedDocument;
  readonly documents: readonly ArchivedDocument[];
  readonly config: ArchivedBlob;
  readonly layers: readonly ArchivedBlob[];
  /** Blobs that the engine has already: they are not sent. */
  readonly omitted: ReadonlySet<Digest>;
}

/**
 * The archive that engines take whose images keep the digest they were published with. An index may lack the
 * manifests of other platforms.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
 * @see https://github.com/containerd/containerd/blob/v1.7.24/images/archive/importer.go#L50-L70
 */
export function ociArchive(archive: OciArchive): AsyncIterable<Uint8Array> {
  const { name, root, documents, config, layers, omitted } = archive;
  const tag = name.slice(name.lastIndexOf(':') + 1);
  const index = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        mediaType: root.mediaType,
        digest: root.digest,
        size: root.bytes.length,
        // Podman takes the first, containerd too; the second is the specification's.
        annotations: { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': tag },
      },
    ],
  };
  return tarArchive(
    (function* entries(): Generator<ArchiveEntry> {
      yield smallEntry('oci-layout', JSON.stringify({ imageLayoutVersion: '1.0.0' }));
      yield smallEntry('index.json', JSON.stringify(index));
      for (const { digest, bytes } of documents) yield smallEntry(blobName(digest), bytes);
      for (const blob of eachOnce([config, ...layers])) {
        if (!omitted.has(blob.digest)) yield entryOf(blobName(blob.digest), blob);
      }
    })(),
  );
}

function blobName(digest: Digest): string {
  return `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`;
}
