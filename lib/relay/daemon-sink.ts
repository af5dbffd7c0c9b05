import type { BlobSink } from '../engine/blob-sink.js';
import type { ByteSpan } from './byte-range.js';
import type { Fingerprint, FingerprintKey } from './fingerprint.js';

/** Where a daemon takes bytes. */
export interface DaemonBody {
  /** Resolves when more may come; rejects when the daemon has gone. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends the answer with these bytes; resolves when they are out. */
  end(bytes: Uint8Array): Promise<void>;
}

/** What is known of the bytes that a daemon was given. */
export type GivenBytes =
  /** Nothing speaks against them. */
  | 'unsuspected'
  /** The blob was begun again, and what comes now does not agree with all of what was given, or not yet. */
  | 'doubtful'
  /** They are not the blob's. */
  | 'spoiled';

const done: Promise<void> = Promise.resolve();
const nothing: Uint8Array = new Uint8Array(0);
const zeros: Uint8Array = new Uint8Array(256 * 1024);

/**
 * One blob, or a part of it, on its way to a daemon. What was handed over cannot be taken back, so the last bytes are
 * withheld until the whole blob is known to be right. When the blob has to be begun again, what the daemon has is
 * compared with the new bytes: where they agree it never notices. Where they do not, one of the two is wrong, and it
 * gets nothing more until the new ones are proved right; then, a body whose digest it will refuse by itself.
 */
export class DaemonSink implements BlobSink {
  readonly kept = 0;
  readonly #body: DaemonBody;
  readonly #span: ByteSpan;
  readonly #key: FingerprintKey;
  readonly #onSpoiled: () => void;
  /** How far the blob has come since it was last begun. */
  #offset = 0;
  /** Up to where the daemon has what it asked for. */
  #given: number;
  /** Of what was given. */
  #fingerprint: Fingerprint;
  /** The same, finished; null while more is given. */
  #givenMark: string | null = null;
  #comparison: { readonly seen: Fingerprint; readonly next: Fingerprint } | null = null;
  /** What comes now is not what was given. */
  #isDisputed = false;
  #isSpoiled = false;
  #last: Uint8Array | null = null;

  /**
   * @param span the part that was asked for
   * @param onSpoiled called once, as soon as the daemon is known to have wrong bytes
   */
  constructor(body: DaemonBody, span: ByteSpan, key: FingerprintKey, onSpoiled: () => void) {
    this.#body = body;
    this.#span = span;
    this.#key = key;
    this.#onSpoiled = onSpoiled;
    this.#given = span.from;
    this.#fingerprint = key.start();
  }

  get given(): GivenBytes {
    if (this.#isSpoiled) return 'spoiled';
    return this.#comparison === null && !this.#isDisputed ? 'unsuspected' : 'doubtful';
  }

  async *readKept(): AsyncIterable<Uint8Array> {}

  write(chunk: Uint8Array): Promise<void> {
    const at = this.#offset;
    this.#offset += chunk.length;
    if (this.#comparison !== null) this.#compare(chunk, at);
    if (this.#isDisputed) return done;
    const from = Math.max(this.#given, at);
    const to = Math.min(this.#span.to, this.#offset);
    if (from >= to) return done;
    const bytes = to - from === chunk.length ? chunk : chunk.subarray(from - at, to - at);
    if (to === this.#span.to) {
      this.#last = bytes;
      return done;
    }
    this.#given = to;
    this.#fingerprint.update(bytes);
    return this.#body.write(bytes);
  }

  /** Begins the blob again: also when another pull goes on with the same answer. */
  async restart(): Promise<void> {
    this.#offset = 0;
    this.#last = null;
    this.#isDisputed = false;
    if (this.#given === this.#span.from) return;
    this.#givenMark ??= this.#fingerprint.end();
    this.#comparison = { seen: this.#key.start(), next: this.#key.start() };
  }

  async commit(): Promise<void> {
    if (this.#isDisputed) {
      await this.fill();
      return;
    }
    const last = this.#last ?? nothing;
    if (this.#given + last.length < this.#span.to) throw new Error('a blob was committed before its end');
    this.#given = this.#span.to;
    await this.#body.end(last);
  }

  /** Nothing to keep: the daemon has it. */
  async release(): Promise<void> {}

  /**
   * Completes the answer with bytes that are not the blob's, so that the daemon refuses all of it. A containerd store
   * would keep a beginning that ends early, and put the rest of a healthy registry's answer behind it.
   */
  async fill(): Promise<void> {
    this.#spoil();
    while (this.#span.to - this.#given > zeros.length) {
      this.#given += zeros.length;
      await this.#body.write(zeros);
    }
    const last = zeros.subarray(0, this.#span.to - this.#given);
    this.#given = this.#span.to;
    await this.#body.end(last);
  }

  #compare(chunk: Uint8Array, at: number): void {
    const comparison = this.#comparison;
    if (comparison === null) return;
    const from = Math.max(this.#span.from, at);
    const to = Math.min(this.#given, at + chunk.length);
    if (from < to) {
      const bytes = chunk.subarray(from - at, to - at);
      comparison.seen.update(bytes);
      comparison.next.update(bytes);
    }
    if (at + chunk.length < this.#given) return;
    this.#comparison = null;
    if (comparison.seen.end() === this.#givenMark) {
      this.#givenMark = null;
      this.#fingerprint = comparison.next;
    } else {
      this.#isDisputed = true;
    }
  }

  #spoil(): void {
    if (this.#isSpoiled) return;
    this.#isSpoiled = true;
    this.#onSpoiled();
  }
}
