import type { BlobSink } from '../../engine/blob-sink.js';
import { createDigester, digestAlgorithm, type Digester } from '../../image/digest.js';
import type { Digest } from '../../vocabulary/digest.js';
import { SinkError } from '../failure.js';

/** A blob that is wanted. */
export interface WantedBlob {
  readonly digest: Digest;
  readonly size: number;
  /** Other places that the descriptor names. */
  readonly urls?: readonly string[];
}

/** A point in a blob from which it can be gone on with. */
export interface Checkpoint {
  readonly offset: number;
  /** Has seen every byte up to there. */
  readonly digester: Digester;
}

/** A run of bytes from one source, as it was delivered. */
interface Segment {
  /** The registry's prefix, or null for bytes an earlier pull had kept. */
  readonly source: string | null;
  readonly from: number;
  readonly to: number;
  readonly hash: Digest;
}

/** Re-hashes the range of an old segment while the blob is fetched anew. */
interface Comparison {
  readonly segment: Segment;
  readonly digester: Digester;
}

/** What became of a blob whose last byte has arrived. */
export type Settlement =
  | {
      readonly kind: 'verified';
      /** Sources whose earlier bytes differ from the right ones. */
      readonly liars: readonly string[];
    }
  | {
      readonly kind: 'mismatch';
      /** The registries that contributed; kept bytes have none. */
      readonly contributors: readonly string[];
      /** Bytes kept by an earlier pull were part of it. */
      readonly keptInvolved: boolean;
    };

/**
 * A blob being put together: hashes everything on its way into the sink, remembers who sent what,
 * and withholds the last chunk until the digest is known to be right.
 */
export class Assembly {
  readonly digest: Digest;
  readonly size: number;
  readonly urls: readonly string[];
  readonly #sink: BlobSink;
  #whole: Digester;
  #segments: Segment[] = [];
  #current: { source: string | null; from: number; own: Digester | null } | null = null;
  #offset = 0;
  #withheld: Uint8Array | null = null;
  #comparisons: Comparison[] = [];

  constructor(blob: WantedBlob, sink: BlobSink, from?: Checkpoint) {
    this.digest = blob.digest;
    this.size = blob.size;
    this.urls = blob.urls ?? [];
    this.#sink = sink;
    this.#whole = from?.digester ?? createDigester(digestAlgorithm(blob.digest));
    this.#offset = from?.offset ?? 0;
    if (from !== undefined)
      this.#segments.push({ source: null, from: 0, to: from.offset, hash: from.digester.digest() });
  }

  /** Where it stands: somebody else can go on from here. */
  checkpoint(): Checkpoint {
    return { offset: this.#offset, digester: this.#whole.copy() };
  }

  /** How many bytes have been put together, those kept included. */
  get offset(): number {
    return this.#offset;
  }

  get isComplete(): boolean {
    return this.#offset === this.size;
  }

  /** The registries whose bytes are in it now. */
  get contributors(): readonly string[] {
    return [...this.contributions.keys()];
  }

  /** How many of the bytes that are in it now came from each registry. */
  get contributions(): ReadonlyMap<string, number> {
    const current = this.#current === null ? [] : [{ ...this.#current, to: this.#offset }];
    const sums = new Map<string, number>();
    for (const { source, from, to } of [...this.#segments, ...current]) {
      if (source !== null) sums.set(source, (sums.get(source) ?? 0) + to - from);
    }
    return sums;
  }

  /** Takes over what an earlier pull had kept; hashes it, since a hash's state is not kept. */
  async prime(signal: AbortSignal): Promise<number> {
    if (this.#sink.kept === 0) return 0;
    try {
      for await (const chunk of this.#sink.readKept()) {
        signal.throwIfAborted();
        this.#take(chunk, null);
      }
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw new SinkError(error);
    }
    return this.#offset;
  }

  /** Adds the bytes that come next. Resolves when the sink wants more. */
  async add(chunk: Uint8Array, source: string | null): Promise<void> {
    if (this.#offset + chunk.length > this.size)
      throw new RangeError(`more bytes than the ${this.size} of ${this.digest}`);
    this.#take(chunk, source);
    if (this.isComplete) this.#withheld = chunk;
    else await this.#intoSink(this.#sink.write(chunk));
  }

  /** Compares the whole with the digest: when right the sink is committed, when wrong nothing of the last chunk gets out. */
  async settle(): Promise<Settlement> {
    this.#closeSegment();
    if (this.#whole.digest() !== this.digest) {
      return {
        kind: 'mismatch',
        contributors: this.contributors,
        keptInvolved: this.#segments.some((segment) => segment.source === null),
      };
    }
    if (this.#withheld !== null) await this.#intoSink(this.#sink.write(this.#withheld));
    await this.#intoSink(this.#sink.commit());
    const liars = this.#comparisons.flatMap(({ segment, digester }) =>
      segment.source !== null && digester.digest() !== segment.hash ? [segment.source] : [],
    );
    return { kind: 'verified', liars: [...new Set(liars)] };
  }

  /**
   * Starts again at byte 0. What was put together so far is remembered by its hashes,
   * so that the right bytes will show whose differed.
   */
  async restart(): Promise<void> {
    this.#closeSegment();
    for (const segment of this.#segments) {
      this.#comparisons.push({ segment, digester: createDigester(digestAlgorithm(this.digest)) });
    }
    // Comparisons that were under way have seen bytes of the assembly that is being thrown away.
    this.#comparisons = this.#comparisons.map(({ segment }) => ({
      segment,
      digester: createDigester(digestAlgorithm(this.digest)),
    }));
    this.#segments = [];
    this.#whole = createDigester(digestAlgorithm(this.digest));
    this.#offset = 0;
    this.#withheld = null;
    await this.#intoSink(this.#sink.restart());
  }

  #take(chunk: Uint8Array, source: string | null): void {
    if (this.#current === null || this.#current.source !== source) {
      this.#closeSegment();
      // The first segment needs no hash of its own: up to its end it is the whole.
      const own = this.#offset === 0 ? null : createDigester(digestAlgorithm(this.digest));
      this.#current = { source, from: this.#offset, own };
    }
    const end = this.#offset + chunk.length;
    for (const { segment, digester } of this.#comparisons) {
      const from = Math.max(segment.from, this.#offset);
      const to = Math.min(segment.to, end);
      if (from < to) digester.update(chunk.subarray(from - this.#offset, to - this.#offset));
    }
    this.#whole.update(chunk);
    this.#current.own?.update(chunk);
    this.#offset = end;
  }

  #closeSegment(): void {
    if (this.#current === null) return;
    const { source, from, own } = this.#current;
    this.#current = null;
    if (from < this.#offset) {
      this.#segments.push({ source, from, to: this.#offset, hash: (own ?? this.#whole).digest() });
    }
  }

  async #intoSink(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      throw new SinkError(error);
    }
  }
}
