import type { BlobSink } from '../../engine/blob-sink.js';
import type { BlobStore } from '../../engine/engine.js';
import type { Checkpoint } from '../blob/assembly.js';
import { SinkError } from '../failure.js';

/** Bytes a waiter may lag behind the others. It bounds the memory of a shared fetch: waiters × (this + one chunk). */
export const maxLagBytes: number = 4 * 1024 * 1024;

/** What is queued before the bytes of a blob that begins again. */
const anew = Symbol('anew');

/** One store's end of a shared fetch: a queue before its sink. */
export class Outlet {
  readonly store: BlobStore;
  readonly sink: BlobSink;
  /** Resolves when its store has the blob, however far the others are. */
  readonly finished: Promise<void>;
  /** Resolves when it was let go, with the point it can go on from; rejects with a SinkError when its sink failed. */
  readonly parted: Promise<Checkpoint>;
  #finish: () => void = () => {};
  #part: (from: Checkpoint) => void = () => {};
  #reject: (error: SinkError) => void = () => {};
  #failure: SinkError | null = null;
  #queue: (Uint8Array | typeof anew)[] = [];
  #lagBytes = 0;
  #pump: Promise<void> | null = null;
  #isClosed = false;

  constructor(store: BlobStore, sink: BlobSink) {
    this.store = store;
    this.sink = sink;
    this.finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
    this.parted = new Promise((resolve, reject) => {
      this.#part = resolve;
      this.#reject = reject;
    });
    // Nobody may be listening any more when the sink fails.
    this.parted.catch(() => {});
  }

  get lagBytes(): number {
    return this.#lagBytes;
  }

  push(chunk: Uint8Array): void {
    if (this.#isClosed) return;
    this.#queue.push(chunk);
    this.#lagBytes += chunk.length;
    this.#pump ??= this.#drain();
  }

  /** Throws away what was pushed; what is pushed from now on begins the blob again. Waits for nobody's sink. */
  restart(): void {
    if (this.#isClosed) return;
    this.#forget();
    this.#queue.push(anew);
    this.#pump ??= this.#drain();
  }

  /** Resolves when everything pushed is in the sink, or the sink has failed. */
  async drained(): Promise<void> {
    while (this.#pump !== null) await this.#pump;
  }

  /** Commits what was pushed; true when the store has the blob now. */
  async commit(): Promise<boolean> {
    await this.drained();
    const isCommitted = await this.#guard(() => this.sink.commit());
    if (isCommitted) this.#finish();
    return isCommitted;
  }

  /** Lets it go on alone from here. */
  part(from: Checkpoint): void {
    this.#part(from);
  }

  /** Its sink has failed: it takes nothing more. */
  fail(error: unknown): void {
    this.#isClosed = true;
    this.#forget();
    this.#failure = new SinkError(error);
    this.#reject(this.#failure);
  }

  /** Takes nothing more; resolves when the sink is not being written to. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#forget();
    await this.drained();
  }

  /** The sink of one that was let go: what is still queued comes first, and what failed there is not passed over. */
  afterQueue(): BlobSink {
    const { sink } = this;
    const flushed = async (): Promise<void> => {
      await this.drained();
      if (this.#failure !== null) throw this.#failure.cause;
    };
    return {
      kept: 0,
      readKept: () => sink.readKept(),
      write: async (chunk) => {
        await flushed();
        await sink.write(chunk);
      },
      restart: async () => {
        await flushed();
        await sink.restart();
      },
      commit: async () => {
        await flushed();
        await sink.commit();
      },
      release: () => sink.release(),
    };
  }

  #forget(): void {
    for (const next of this.#queue) this.#lagBytes -= lengthOf(next);
    this.#queue = [];
  }

  async #drain(): Promise<void> {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      const step = next;
      await this.#guard(() => (step === anew ? this.sink.restart() : this.sink.write(step)));
      this.#lagBytes -= lengthOf(step);
    }
    this.#pump = null;
  }

  /** True when the work was done; a closed sink is left alone. */
  async #guard(work: () => Promise<void>): Promise<boolean> {
    if (this.#isClosed) return false;
    try {
      await work();
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }
}

function lengthOf(step: Uint8Array | typeof anew): number {
  return step === anew ? 0 : step.length;
}
