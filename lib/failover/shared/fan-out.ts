import { loopMs, startLoopTimer } from '../../policy/loop-timer.js';
import type { BlobSink } from '../../engine/blob-sink.js';
import type { BlobStore } from '../../engine/engine.js';
import { maxLagBytes, type Outlet } from './outlet.js';

/** How long one waiter that lags too far may hold the others, in milliseconds: a hiccup of a disk is forgiven … */
export const maxHoldMs = 500;
/** … and beyond that this share of the time: one that is slower all along would hold them at its pace, a little at a time. */
const maxHoldShare = 0.1;
/** Bytes from the start of a blob that are remembered, so that a waiter which comes a little later gets them too. */
const headBytes = 1024 * 1024;

/**
 * One sink for several waiters: each gets every byte, at the pace of those that keep up.
 * A waiter that lags too far for too long is let go rather than holding the others.
 */
export class FanOut implements BlobSink {
  /** Resolves with the first store that has the blob. */
  readonly whole: Promise<BlobStore>;
  readonly #outlets: Set<Outlet>;
  readonly #first: Outlet;
  #tellWhole: (store: BlobStore) => void = () => {};
  readonly #letGo: (outlet: Outlet) => void;
  #head: Uint8Array[] | null;
  #headSize = 0;
  readonly #startedAtMs: number = loopMs();
  /** For how long each waiter has held the others. */
  readonly #holds = new WeakMap<Outlet, number>();
  #heldMs = 0;
  #heldSinceMs: number | null = null;

  /** @param letGo takes over an outlet that was too slow; everything written so far is in its queue or its sink */
  constructor(first: Outlet, letGo: (outlet: Outlet) => void) {
    this.whole = new Promise((resolve) => {
      this.#tellWhole = resolve;
    });
    this.#outlets = new Set([first]);
    this.#first = first;
    this.#head = first.sink.kept === 0 ? [] : null;
    this.#letGo = letGo;
  }

  get kept(): number {
    return this.#first.sink.kept;
  }

  get outlets(): ReadonlySet<Outlet> {
    return this.#outlets;
  }

  /** Milliseconds for which the fetch has stood still, all in all, because its waiters would not take more. */
  get heldMs(): number {
    return this.#heldMs + (this.#heldSinceMs === null ? 0 : loopMs() - this.#heldSinceMs);
  }

  /** Lets one more waiter in; false when the beginning is gone, or it has bytes of its own. */
  join(outlet: Outlet): boolean {
    if (this.#head === null || outlet.sink.kept > 0) return false;
    for (const chunk of this.#head) outlet.push(chunk);
    this.#outlets.add(outlet);
    return true;
  }

  leave(outlet: Outlet): void {
    this.#outlets.delete(outlet);
  }

  async *readKept(): AsyncIterable<Uint8Array> {
    try {
      yield* this.#first.sink.readKept();
    } catch (error) {
      // The failure of its store alone; whoever waits for the fetch goes on without it.
      this.#first.fail(error);
      throw error;
    }
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#remember(chunk);
    for (const outlet of this.#outlets) outlet.push(chunk);
    this.#heldSinceMs = loopMs();
    if (this.#outlets.size === 1) {
      const [only] = this.#outlets;
      await only?.drained();
    }
    while (this.#lagging().length > 0) await this.#waitForRoom();
    this.#heldMs = this.heldMs;
    this.#heldSinceMs = null;
  }

  async restart(): Promise<void> {
    this.#head = [];
    this.#headSize = 0;
    // A store that does not take what it has been given holds nobody here either: it lags, as with any bytes.
    for (const outlet of this.#outlets) outlet.restart();
  }

  async commit(): Promise<void> {
    this.#head = null;
    const commits = [...this.#outlets].map(async (outlet) => {
      if (await outlet.commit()) this.#tellWhole(outlet.store);
    });
    await Promise.all(commits);
  }

  /** Nothing to do: each waiter releases its own sink. */
  async release(): Promise<void> {
    this.#head = null;
  }

  #remember(chunk: Uint8Array): void {
    if (this.#head === null) return;
    this.#headSize += chunk.length;
    if (this.#headSize > headBytes) this.#head = null;
    else this.#head.push(chunk);
  }

  #lagging(): readonly Outlet[] {
    return [...this.#outlets].filter((outlet) => outlet.lagBytes > maxLagBytes);
  }

  /** Waits for those that lag too far; when somebody keeps up, only for a while. */
  async #waitForRoom(): Promise<void> {
    const lagging = this.#lagging();
    if (lagging.length === this.#outlets.size) {
      await Promise.race(lagging.map((outlet) => outlet.drained()));
      return;
    }
    const sinceMs = loopMs();
    const longestMs = Math.max(...lagging.map((outlet) => this.#holdOf(outlet)));
    let expire: (() => void) | undefined;
    const expired = new Promise<void>((resolve) => {
      expire = resolve;
    });
    const timer = startLoopTimer(Math.max(1, this.#allowedMs() - longestMs), () => expire?.());
    await Promise.race([Promise.all(lagging.map((outlet) => outlet.drained())), expired]);
    timer.cancel();
    for (const outlet of lagging) {
      this.#holds.set(outlet, this.#holdOf(outlet) + loopMs() - sinceMs);
      if (this.#holdOf(outlet) >= this.#allowedMs() && this.#outlets.delete(outlet)) this.#letGo(outlet);
    }
  }

  #holdOf(outlet: Outlet): number {
    return this.#holds.get(outlet) ?? 0;
  }

  #allowedMs(): number {
    return maxHoldMs + (loopMs() - this.#startedAtMs) * maxHoldShare;
  }
}
