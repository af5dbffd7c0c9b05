import type { BlobSink } from '../engine/blob-sink.js';
import type { Checkpoint } from './assembly.js';
import { SinkError } from './failure.js';

/** Bytes a waiter may lag behind the others. It bounds the memory of a shared fetch: waiters × (this + one chunk). */
export const maxLagBytes: number = 4 * 1024 * 1024;

/** One waiter's end of a shared fetch: a queue before its sink. */
export class Outlet {
  readonly sink: BlobSink;
  /** Resolves when the waiter was let go, with the point it can go on from; rejects with a SinkError when its sink failed. */
  readonly parted: Promise<Checkpoint>;
  #part: (from: Checkpoint) => void = () => {};
  #fail: (error: SinkError) => void = () => {};
  #queue: Uint8Array[] = [];
  #lagBytes = 0;
  #pump: Promise<void> | null = null;
  #isClosed = false;

  constructor(sink: BlobSink) {
    this.sink = sink;
    this.parted = new Promise((resolve, reject) => {
      this.#part = resolve;
      this.#fail = reject;
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

  /** Resolves when everything pushed is in the sink, or the sink has failed. */
  async drained(): Promise<void> {
    while (this.#pump !== null) await this.#pump;
  }

  async restart(): Promise<void> {
    this.#forget();
    await this.drained();
    await this.#guard(() => this.sink.restart());
  }

  async commit(): Promise<void> {
    await this.drained();
    await this.#guard(() => this.sink.commit());
  }

  part(from: Checkpoint): void {
    this.#part(from);
  }

  /** Takes nothing more; resolves when the sink is not being written to. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#forget();
    await this.drained();
  }

  #forget(): void {
    for (const chunk of this.#queue) this.#lagBytes -= chunk.length;
    this.#queue = [];
  }

  async #drain(): Promise<void> {
    for (let chunk = this.#queue.shift(); chunk !== undefined; chunk = this.#queue.shift()) {
      const next = chunk;
      await this.#guard(() => this.sink.write(next));
      this.#lagBytes -= next.length;
    }
    this.#pump = null;
  }

  async #guard(work: () => Promise<void>): Promise<void> {
    if (this.#isClosed) return;
    try {
      await work();
    } catch (error) {
      this.#isClosed = true;
      this.#forget();
      this.#fail(new SinkError(error));
    }
  }
}
