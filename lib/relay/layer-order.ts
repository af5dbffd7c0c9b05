import { monotonicMs } from '../clock/time.js';
import type { Descriptor } from '../image/descriptor.js';
import { sleep } from '../policy/deadline.js';
import type { Digest } from '../vocabulary/digest.js';

/** What one read of a socket gives at most: whoever gets so much is behind the link. */
const fullReadBytes = 64 * 1024;

/** How long ago a layer got as much as could be read, for those after it to wait still, in milliseconds. */
const streamingMs = 20;

/** A layer that waits gets on once in this time, in milliseconds: its registry is not to take the connection for idle. */
const longestWaitMs = 250;

/**
 * Lets the layers of one image that a daemon fetches side by side reach it in the order in which it unpacks them, where
 * this process or the daemon is slower than the link: the first can be unpacked while the others still come. Where the
 * link decides nobody waits, for each may have a connection as fast as it gets.
 */
export class LayerOrder {
  readonly #ranks: ReadonlyMap<Digest, number>;
  readonly #streamedAtMs = new Map<number, number>();

  /** @param layers from the bottom up, as the manifest lists them */
  constructor(layers: readonly Descriptor[]) {
    this.#ranks = new Map(layers.map(({ digest }, rank): [Digest, number] => [digest, rank]).toReversed());
  }

  /**
   * Gives bytes of a blob to the daemon. Resolves when more may be given: where it has to wait for layers before it, at the
   * latest after 250 ms or an abort.
   */
  async give(
    digest: Digest,
    bytes: Uint8Array,
    write: (bytes: Uint8Array) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const rank = this.#ranks.get(digest);
    const isStreaming = rank !== undefined && bytes.length >= fullReadBytes;
    if (isStreaming) this.#streamedAtMs.set(rank, monotonicMs());
    await write(bytes);
    if (rank === undefined) return;
    const startedAtMs = monotonicMs();
    if (isStreaming) this.#streamedAtMs.set(rank, startedAtMs);
    while (this.#isBehind(rank) && monotonicMs() - startedAtMs < longestWaitMs && !signal.aborted) {
      await sleep(streamingMs);
    }
  }

  #isBehind(rank: number): boolean {
    const sinceMs = monotonicMs() - streamingMs;
    return [...this.#streamedAtMs].some(([before, atMs]) => before < rank && atMs > sinceMs);
  }
}
