import { digestHex } from '../../image/digest.js';
import type { Digest } from '../../vocabulary/digest.js';
import { type ArchiveEntry, smallEntry, tarArchive } from './tar-archive.js';

/** A blob on its way into an archive. */
export interface ArchivedBlob {
  readonly digest: Digest;
  readonly size: number;
  /** Exactly its bytes. Called when its turn comes, once. */
  read(): AsyncIterable<Uint8Array>;
}

/** An image in the form of `docker save`. */
export interface DockerArchive {
  /** `host/path:tag`. */
  readonly name: string;
  readonly config: Uint8Array;
  /** From the bottom, as the manifest names them; the same one may come several times. */
  readonly layers: readonly ArchivedBlob[];
  /** Layers that the engine has already: they are named, but not sent. */
  readonly omitted: ReadonlySet<Digest>;
}

/**
 * The archive that every Docker engine with the classic store takes. It computes the image's identifier from the
 * config, and unpacks layers whether they are compressed or not.
 *
 * @see https://github.com/moby/moby/blob/v20.10.24/image/tarexport/load.go#L32-L140
 */
export function dockerArchive({ name, config, layers, omitted }: DockerArchive): AsyncIterable<Uint8Array> {
  const configName = 'config.json';
  const manifest = [{ Config: configName, RepoTags: [name], Layers: layers.map(({ digest }) => layerName(digest)) }];
  return tarArchive(
    (function* entries(): Generator<ArchiveEntry> {
      yield smallEntry('manifest.json', JSON.stringify(manifest));
      yield smallEntry(configName, config);
      for (const layer of eachOnce(layers)) {
        if (!omitted.has(layer.digest)) yield entryOf(layerName(layer.digest), layer);
      }
    })(),
  );
}

/** Blobs that an archive holds, each once: an image may name one several times. */
export function eachOnce(blobs: readonly ArchivedBlob[]): readonly ArchivedBlob[] {
  return [...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
}

export function entryOf(name: string, blob: ArchivedBlob): ArchiveEntry {
  return { name, size: blob.size, content: { [Symbol.asyncIterator]: () => blob.read()[Symbol.asyncIterator]() } };
}

function layerName(digest: Digest): string {
  return `${digestHex(digest)}.tar`;
}
