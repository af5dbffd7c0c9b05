import { Readable } from 'node:stream';
import type { ProgressLine } from './progress-line.js';

/**
 * What a caller of dockerode reads: JSON lines, each a chunk of its own, for many a caller parses chunks. It holds a
 * bounded number of lines for a reader who is slow or never comes: the pull does not wait for it, as with Docker.
 */
export class PullStream extends Readable {
  /** What nobody has asked for yet, in order; where there is a key, only the last line of it. */
  readonly #waiting = new Map<string | symbol, string>();
  readonly #onDestroyed: () => void;
  #isWanted = false;
  #isScheduled = false;
  #hasEnded = false;

  /** @param onDestroyed called once, also after an orderly end */
  constructor(onDestroyed: () => void) {
    super();
    this.#onDestroyed = onDestroyed;
  }

  /** @param key a later line of the same key takes the place of one that nobody has read */
  tell(line: ProgressLine, key?: string): void {
    if (this.#hasEnded || this.destroyed) return;
    this.#waiting.set(key ?? Symbol('line'), `${JSON.stringify(line)}\r\n`);
    this.#schedule();
  }

  /** The stream ends as soon as what was told has been read. */
  finish(): void {
    this.#hasEnded = true;
    this.#schedule();
  }

  override _read(): void {
    this.#isWanted = true;
    this.#schedule();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#waiting.clear();
    this.#onDestroyed();
    // As an answer of Node's own does: to end a pull whose stream nobody hears is no crash of the host.
    done(this.listenerCount('error') === 0 ? null : error);
  }

  /** Never at once: what a reader throws is an uncaught exception of its own, not a fault of whoever tells. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    process.nextTick(() => {
      this.#isScheduled = false;
      this.#pass();
    });
  }

  #pass(): void {
    if (!this.#isWanted || this.destroyed) return;
    const [next] = this.#waiting;
    if (next === undefined) {
      if (this.#hasEnded) this.push(null);
      return;
    }
    const [key, text] = next;
    this.#waiting.delete(key);
    // The next line comes also when the reader of this one throws.
    this.#schedule();
    this.#isWanted = this.push(text);
  }
}
