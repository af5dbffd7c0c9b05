import type { ArchivedBlob } from '../../engine/docker/docker-archive.js';
import type { BlobStore } from '../../engine/engine.js';
import type { Descriptor } from '../../image/descriptor.js';
import { abortable, deriveAbort, type DerivedAbort } from '../../policy/deadline.js';
import type { Digest } from '../../vocabulary/digest.js';
import { BlobSpool } from './blob-spool.js';
import { embeddedBytes } from '../../failover/blob/embedded-blob.js';

/** What a feed needs. */
export interface BlobFeedOptions {
  /** The canonical name, for messages. */
  readonly image: string;
  /** In the order in which they will be read, each once. */
  readonly blobs: readonly Descriptor[];
  readonly signal: AbortSignal;
  /** Brings one blob into the store, right to the last byte. */
  readonly fetch: (blob: Descriptor, store: BlobStore, signal: AbortSignal) => Promise<void>;
  /** Called when every byte of a blob was read. */
  readonly onRead: (blob: Descriptor) => void;
  /** Default: in the folder for temporary files. */
  readonly spool?: BlobSpool;
}

/** A blob being fetched, or waiting to be read. */
interface Spooled {
  readonly blob: Descriptor;
  readonly done: Promise<void>;
}

/**
 * Blobs on disk at a time: the one being read and two ahead of it, so that neither the network nor the engine waits
 * for the other, and the room taken is that of three layers at most. Where room is scarce there are fewer.
 */
const maxSpooled = 3;

/** The blobs of one archive: fetched a little ahead, verified on disk, read in order, and gone when they were read. */
export class BlobFeed implements AsyncDisposable {
  readonly #options: BlobFeedOptions;
  readonly #spool: BlobSpool;
  readonly #work: DerivedAbort;
  readonly #waiting: Descriptor[];
  readonly #spooled = new Map<Digest, Spooled>();
  #isLooking = false;

  constructor(options: BlobFeedOptions) {
    this.#options = options;
    this.#spool = options.spool ?? new BlobSpool();
    this.#work = deriveAbort(options.signal);
    this.#waiting = options.blobs.filter((blob) => embeddedBytes(options.image, blob) === null);
  }

  /** Begins to fetch. */
  start(): void {
    if (this.#spooled.size === 0) this.#fetchNext();
    void this.#fetchAhead();
  }

  /** The blob as an archive takes it; to be read when all those before it have been. */
  archived(blob: Descriptor): ArchivedBlob {
    return { digest: blob.digest, size: blob.size, read: () => this.#read(blob) };
  }

  /** Ends what is being fetched; whoever reads gets this error. */
  stop(error: unknown): void {
    this.#work.abort(error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop(new Error('the feed was closed'));
    await Promise.allSettled([...this.#spooled.values()].map(({ done }) => done));
    await this.#spool[Symbol.asyncDispose]();
    this.#work[Symbol.dispose]();
  }

  async #fetchAhead(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const { signal } = this.#work;
    for (let next = this.#waiting[0]; next !== undefined && !signal.aborted; next = this.#waiting[0]) {
      if (this.#spooled.size >= maxSpooled || !(await this.#spool.hasRoomFor(next.size))) break;
      // Meanwhile its turn may have come.
      if (this.#waiting[0] === next && this.#spooled.size < maxSpooled) this.#fetchNext();
    }
    this.#isLooking = false;
  }

  #fetchNext(): void {
    if (this.#work.signal.aborted) return;
    const blob = this.#waiting.shift();
    if (blob === undefined) return;
    const done = this.#options.fetch(blob, this.#spool, this.#work.signal);
    // Read later, or never when an earlier one fails.
    done.catch(() => {});
    this.#spooled.set(blob.digest, { blob, done });
  }

  async *#read(blob: Descriptor): AsyncGenerator<Uint8Array> {
    const embedded = embeddedBytes(this.#options.image, blob);
    if (embedded === null) yield* this.#readSpooled(blob);
    else yield embedded;
    this.#options.onRead(blob);
  }

  async *#readSpooled({ digest }: Descriptor): AsyncGenerator<Uint8Array> {
    const { signal } = this.#work;
    signal.throwIfAborted();
    this.start();
    const spooled = this.#spooled.get(digest);
    if (spooled === undefined) throw new Error(`${digest} is read out of order`);
    await abortable(spooled.done, signal);
    for await (const chunk of this.#spool.streamBlob(digest, 0)) {
      signal.throwIfAborted();
      yield chunk;
    }
    signal.throwIfAborted();
    await this.#spool.discard(digest);
    this.#spooled.delete(digest);
    this.start();
  }
}
