import type { BigIntStats } from 'node:fs';
import { mkdir, open, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { EngineError } from '../../errors/engine-error.js';
import type { Descriptor } from '../../image/descriptor.js';
import { digestAlgorithm, digestHex, digestOf, parseDigest } from '../../image/digest.js';
import { createLog } from '../../log/log.js';
import type { Digest } from '../../vocabulary/digest.js';
import { syncDirectory } from '../../files/durable-file.js';
import { unlessMissing } from '../../files/file-error.js';
import { fileState, stampOf } from '../../files/file-state.js';
import { createBoundedMap } from '../../policy/bounded-map.js';
import type { PartialStore } from './partial-store.js';
import { readChunks } from './read-chunks.js';
import { shareRunsOf } from './shared-run.js';

/** The `blobs` directory of one layout: what is whole. */
export interface LayoutBlobs {
  /** `blobs/<algorithm>/<encoded>` of the layout. */
  pathOf(digest: Digest): string;
  has(blob: Pick<Descriptor, 'digest' | 'size'>): Promise<boolean>;
  /** Whether all of it is there, and is what its digest says. */
  holds(blob: Pick<Descriptor, 'digest' | 'size'>): Promise<boolean>;
  read(digest: Digest, maxBytes: number): Promise<Uint8Array | null>;
  stream(digest: Digest, from: number): AsyncIterable<Uint8Array>;
  /** Writes it, whatever is there. */
  put(bytes: Uint8Array, digest: Digest): Promise<void>;
  /** To be told when a blob was put in place by another way than `put`. */
  stored(digest: Digest): void;
}

const log = createLog('layout');

/** Manifests and configs are a few KiB; what is larger is read again each time. */
const maxKeptBytes = 16 * 1024;

/** The documents of a thousand images that a host pulls again and again. */
const maxKeptTogether = 4 * 1024 * 1024;

/** What keeping one takes beside its bytes. */
const keepingBytes = 512;

export function createLayoutBlobs(engine: string, root: string, partials: PartialStore): LayoutBlobs {
  /** Found to hold other bytes than their digest says: not there, until they are written again. */
  const corrupt = new Set<Digest>();
  /** Documents that were read and found right, and what their files looked like then. */
  const kept = createBoundedMap<Digest, { readonly stamp: string; readonly bytes: Uint8Array }>(
    maxKeptTogether,
    ({ bytes }) => bytes.length + keepingBytes,
  );

  function pathOf(digest: Digest): string {
    // The type promises it; plain JavaScript may hand over what leads out of the layout.
    if (parseDigest(digest) === null) throw new EngineError(engine, 'what was asked for is not a digest');
    return join(root, 'blobs', digestAlgorithm(digest), digestHex(digest));
  }

  /** A thousand pulls look for the same few images at once: one look serves all who wait for it. */
  const look = shareRunsOf(async (digest: Digest) => fileState(pathOf(digest)));
  const readSmall = shareRunsOf((digest: Digest) => readFile(digest, maxKeptBytes));

  async function has({ digest, size }: Pick<Descriptor, 'digest' | 'size'>): Promise<boolean> {
    if (corrupt.has(digest)) return false;
    const found = await look(digest);
    return found !== null && found.isFile() && Number(found.size) === size;
  }

  async function read(digest: Digest, maxBytes: number): Promise<Uint8Array | null> {
    const bytes = await find(digest, maxBytes);
    // Nobody may change what others are given.
    return bytes === null ? null : Buffer.from(bytes);
  }

  async function find(digest: Digest, maxBytes: number): Promise<Uint8Array | null> {
    const found = await look(digest);
    if (found === null || !found.isFile() || Number(found.size) > maxBytes) return null;
    if (Number(found.size) > maxKeptBytes) return readFile(digest, maxBytes);
    const known = kept.get(digest);
    const bytes = known !== undefined && known.stamp === stampOf(found) ? known.bytes : await readSmall(digest);
    // It may have been replaced by a larger one since.
    return bytes === null || bytes.length > maxBytes ? null : bytes;
  }

  async function readFile(digest: Digest, maxBytes: number): Promise<Uint8Array | null> {
    const handle = await unlessMissing(open(pathOf(digest), 'r'));
    if (handle === null) return null;
    try {
      const found = await handle.stat({ bigint: true });
      if (!found.isFile() || Number(found.size) > maxBytes) return null;
      const bytes = await handle.readFile();
      if (digestOf(bytes, digestAlgorithm(digest)) === digest) {
        keep(digest, bytes, found);
        return bytes;
      }
      corrupt.add(digest);
      log(null, 'blob does not hold what its digest says', { digest, engine });
      return null;
    } finally {
      await handle.close();
    }
  }

  function keep(digest: Digest, bytes: Uint8Array, state: BigIntStats): void {
    if (bytes.length <= maxKeptBytes) kept.set(digest, { stamp: stampOf(state), bytes });
  }

  async function* stream(digest: Digest, from: number): AsyncGenerator<Uint8Array> {
    const handle = await unlessMissing(open(pathOf(digest), 'r'));
    if (handle === null) throw new EngineError(engine, `${digest} is not there`);
    try {
      yield* readChunks(handle, from, Infinity);
    } finally {
      await handle.close();
    }
  }

  async function put(bytes: Uint8Array, digest: Digest): Promise<void> {
    const path = pathOf(digest);
    const partial = await partials.create(digest);
    try {
      await partial.handle.writeFile(bytes);
      await partial.handle.datasync();
      await mkdir(dirname(path), { recursive: true });
      await rename(partial.path, path);
      // A copy: what was given is the caller's.
      keep(digest, Buffer.from(bytes), await partial.handle.stat({ bigint: true }));
    } catch (error) {
      await partials.discard(partial).catch(() => {});
      throw error;
    }
    await partial.handle.close();
    await syncDirectory(dirname(path));
    corrupt.delete(digest);
  }

  return {
    pathOf,
    has,
    holds: async ({ digest, size }) => (await find(digest, size)) !== null,
    read,
    stream,
    put,
    stored: (digest) => corrupt.delete(digest),
  };
}
