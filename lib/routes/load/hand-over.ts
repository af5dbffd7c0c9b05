import { deriveAbort, type DerivedAbort } from '../../policy/deadline.js';
import { type LoopTimer, startLoopTimer } from '../../policy/loop-timer.js';
import type { LoadPace } from './load-pace.js';

/** How an archive is handed over. */
export interface HandOverOptions {
  readonly signal: AbortSignal;
  readonly pace: LoadPace;
  /** How long the engine may take nothing and say nothing new, in milliseconds. */
  readonly stallMs: number;
  /** Makes the error for that. */
  readonly late: () => unknown;
  /** Called when the engine has taken the last byte. */
  readonly onEnd: () => void;
  /** Called when it wants no more, before the end. */
  readonly onLeft: () => void;
}

/**
 * An archive as an engine takes it, and how long that may take: while bytes are waited for, the engine is not late.
 * Read by one reader, who may leave at any time, also while it waits for bytes.
 */
export class HandOver implements AsyncIterableIterator<Uint8Array>, Disposable {
  readonly #options: HandOverOptions;
  readonly #archive: AsyncIterator<Uint8Array>;
  readonly #work: DerivedAbort;
  readonly #timer: LoopTimer;
  #pieces: Iterator<Uint8Array> = [].values();
  #isOver = false;

  constructor(archive: AsyncIterable<Uint8Array>, options: HandOverOptions) {
    this.#options = options;
    this.#archive = archive[Symbol.asyncIterator]();
    this.#work = deriveAbort(options.signal);
    this.#timer = startLoopTimer(options.stallMs, () => this.#work.abort(options.late()));
  }

  /** Aborted with what ended it: the archive's own error, the lateness of the engine, or the reason of the parent. */
  get signal(): AbortSignal {
    return this.#work.signal;
  }

  /** The engine said something new. */
  progressed(): void {
    this.#timer.restart();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#isOver) return { done: true, value: undefined };
    this.#timer.pause();
    try {
      const piece = await this.#nextPiece();
      if (this.#isOver) return { done: true, value: undefined };
      if (piece !== null) return { done: false, value: piece };
      this.#isOver = true;
      this.#options.onEnd();
      return { done: true, value: undefined };
    } catch (error) {
      if (this.#isOver) return { done: true, value: undefined };
      this.#work.abort(error);
      throw error;
    } finally {
      this.#timer.restart();
      this.#timer.resume();
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (!this.#isOver) {
      this.#isOver = true;
      this.#options.onLeft();
    }
    return { done: true, value: undefined };
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#timer.cancel();
    this.#work[Symbol.dispose]();
    // A generator that waits for its source ends when that does.
    void this.#archive.return?.()?.catch(() => {});
  }

  async #nextPiece(): Promise<Uint8Array | null> {
    for (;;) {
      const piece = this.#pieces.next();
      if (piece.done !== true) {
        await this.#options.pace.take(piece.value.length, this.#work.signal);
        return piece.value;
      }
      const chunk = await this.#archive.next();
      if (chunk.done === true) return null;
      this.#pieces = this.#options.pace.pieces(chunk.value)[Symbol.iterator]();
    }
  }
}
