import { randomUUID } from 'node:crypto';
import { constants, type FileHandle, open, statfs, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBatchedWriter } from '../../engine/layout/batched-writer.js';
import type { BlobSink } from '../../engine/blob-sink.js';
import type { BlobStore, WantedBlob } from '../../engine/engine.js';
import { readChunks } from '../../engine/layout/read-chunks.js';
import { fileErrorCode } from '../../files/file-error.js';
import type { Descriptor } from '../../image/descriptor.js';
import type { Digest } from '../../vocabulary/digest.js';
import { embeddedBytes } from '../../failover/blob/embedded-blob.js';

/** A blob on disk, whole and verified. */
interface SpooledBlob {
  readonly handle: FileHandle;
  readonly size: number;
}

/** What one blob that is fetched ahead may take of the free room. */
const roomShare = 0.25;

/**
 * Keeps blobs on disk from their first byte until they were handed on, so that only verified ones are. The files lie
 * in the system's folder for temporary files (`TMPDIR`) and have no name there: however this process ends, the system
 * takes their room back.
 */
export class BlobSpool implements BlobStore, AsyncDisposable {
  readonly #directory: string;
  readonly #whole = new Map<Digest, SpooledBlob>();
  readonly #open = new Set<FileHandle>();

  constructor(directory: string = tmpdir()) {
    this.#directory = directory;
  }

  /** Whether the disk has room for a blob that is not needed yet: others use it, too. */
  async hasRoomFor(size: number): Promise<boolean> {
    try {
      const { bavail, bsize } = await statfs(this.#directory);
      return size <= bavail * bsize * roomShare;
    } catch {
      // The disk will say what is wrong when it is written to.
      return true;
    }
  }

  /** Files that take room now. */
  get files(): number {
    return this.#open.size;
  }

  async hasBlob({ digest }: Pick<WantedBlob, 'digest'>): Promise<boolean> {
    return this.#whole.has(digest);
  }

  async openBlob({ digest, size }: WantedBlob): Promise<BlobSink | null> {
    if (this.#whole.has(digest)) return null;
    const handle = await this.#create();
    const writer = createBatchedWriter(handle, 0, (write) => write());
    let isWhole = false;
    let isReleased = false;
    return {
      kept: 0,
      readKept: async function* readKept() {
        // Nothing outlives a delivery.
      },
      write: (chunk) => writer.write(chunk),
      restart: () => writer.restart(),
      commit: async () => {
        await writer.drain();
        this.#whole.set(digest, { handle, size });
        isWhole = true;
      },
      release: async () => {
        if (isWhole || isReleased) return;
        isReleased = true;
        await writer.drain().catch(() => {});
        await this.#close(handle);
      },
    };
  }

  async *streamBlob(digest: Digest, from: number): AsyncGenerator<Uint8Array> {
    const blob = this.#whole.get(digest);
    if (blob === undefined) throw new Error(`${digest} is not in the spool`);
    yield* readChunks(blob.handle, from, blob.size);
  }

  /** Gives the room of a blob back. Whoever still reads it gets an error. */
  async discard(digest: Digest): Promise<void> {
    const blob = this.#whole.get(digest);
    if (blob === undefined) return;
    this.#whole.delete(digest);
    await this.#close(blob.handle);
  }

  /** Gives everything back. Those who write must have been told to stop. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const digest of [...this.#whole.keys()]) await this.discard(digest);
  }

  async #create(): Promise<FileHandle> {
    const handle = (await openNameless(this.#directory)) ?? (await openUnlinked(this.#directory));
    this.#open.add(handle);
    return handle;
  }

  async #close(handle: FileHandle): Promise<void> {
    await handle.close();
    this.#open.delete(handle);
  }
}

/** `O_TMPFILE` of Linux, for which Node has no name: a file in this directory that never has one. */
const nameless: number | null =
  process.platform === 'linux' ? constants.O_RDWR | constants.O_DIRECTORY | 0o20_000_000 : null;

/** What kernels and file systems say that do not know such files. */
const unknownToSystem: ReadonlySet<string | null> = new Set(['EISDIR', 'EOPNOTSUPP', 'ENOTSUP', 'EINVAL']);

async function openNameless(directory: string): Promise<FileHandle | null> {
  if (nameless === null) return null;
  try {
    return await open(directory, nameless, 0o600);
  } catch (error) {
    if (unknownToSystem.has(fileErrorCode(error))) return null;
    throw error;
  }
}

/** The next best: the name is there for a moment only, but a process may be killed in it. */
export async function openUnlinked(directory: string): Promise<FileHandle> {
  const path = join(directory, `pull-failover-${randomUUID()}`);
  const handle = await open(path, 'wx+', 0o600);
  try {
    await unlink(path);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Brings a small blob into memory. */
export async function readBlob(
  image: string,
  blob: Descriptor,
  fetch: (store: BlobStore) => Promise<void>,
): Promise<Uint8Array> {
  const embedded = embeddedBytes(image, blob);
  if (embedded !== null) return embedded;
  await using spool = new BlobSpool();
  await fetch(spool);
  const chunks: Uint8Array[] = [];
  for await (const chunk of spool.streamBlob(blob.digest, 0)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
