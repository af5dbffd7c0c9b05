import { loopMs, startLoopTimer } from '../policy/loop-timer.js';
import type { BlobSink } from '../engine/blob-sink.js';
import { maxLagBytes, type Outlet } from './outlet.js';

/** How long one waiter that lags too far may hold the others, in milliseconds. */
export const maxHoldMs = 500;
/** Bytes from the start of a blob that are remembered, so that a waiter which comes a little later gets them too. */
const headBytes = 1024 * 1024;

/**
 * One sink for several waiters: each gets every byte, at the pace of those that keep up.
 * A waiter that lags too far for too long is let go rather than holding the others.
 */
export class FanOut implements BlobSink {
  readonly #outlets: Set<Outlet>;
  readonly #first: BlobSink;
  readonly #letGo: (outlet: Outlet) => void;
  #head: Uint8Array[] | null;
  #headSize = 0;
  #heldSinceMs: number | null = null;

  /** @param letGo takes over an outlet that was too slow; everything written so far is in its queue or its sink */
  constructor(first: Outlet, letGo: (outlet: Outlet) => void) {
    this.#outlets = new Set([first]);
    this.#first = first.sink;
    this.#head = first.sink.kept === 0 ? [] : null;
    this.#letGo = letGo;
  }

  get kept(): number {
    return this.#first.kept;
  }

  get outlets(): ReadonlySet<Outlet> {
    return this.#outlets;
  }

  /** Milliseconds for which the waiters' own slowness has been holding the fetch. */
  get heldForMs(): number {
    return this.#heldSinceMs === null ? 0 : loopMs() - this.#heldSinceMs;
  }

  /** Whether a waiter that comes now can still get the beginning. */
  get canJoin(): boolean {
    return this.#head !== null;
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

  readKept(): AsyncIterable<Uint8Array> {
    return this.#first.readKept();
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
    this.#heldSinceMs = null;
  }

  async restart(): Promise<void> {
    this.#head = [];
    this.#headSize = 0;
    await Promise.all([...this.#outlets].map((outlet) => outlet.restart()));
  }

  async commit(): Promise<void> {
    this.#head = null;
    await Promise.all([...this.#outlets].map((outlet) => outlet.commit()));
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
    let expire: (() => void) | undefined;
    const expired = new Promise<void>((resolve) => {
      expire = resolve;
    });
    const timer = startLoopTimer(maxHoldMs, () => expire?.());
    await Promise.race([Promise.all(lagging.map((outlet) => outlet.drained())), expired]);
    timer.cancel();
    for (const outlet of lagging) {
      if (outlet.lagBytes > maxLagBytes && this.#outlets.delete(outlet)) this.#letGo(outlet);
    }
  }
}
