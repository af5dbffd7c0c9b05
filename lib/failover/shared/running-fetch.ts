import type { BlobStore } from '../../engine/engine.js';
import { isPullExhaustedError } from '../../errors/pull-exhausted-error.js';
import { abortable, deriveAbort, sleep, type DerivedAbort } from '../../policy/deadline.js';
import { loopMs } from '../../policy/loop-timer.js';
import { Assembly, type Checkpoint, type WantedBlob } from '../blob/assembly.js';
import type { HeartContext } from '../context.js';
import { FanOut, maxHoldMs } from './fan-out.js';
import { completeBlob, primeBlob } from '../blob/fetch-blob.js';
import type { Outlet } from './outlet.js';

/** A fetch that stands still for more than this share of the time waits for its waiters' disks, not for a registry. */
const heldShare = 0.5;

/** What became of a fetch that somebody only watched. */
export type Watched =
  /** This store has the blob. */
  | { readonly kind: 'whole'; readonly store: BlobStore }
  /** Its own waiters hold it, so that waiting for it may be long. */
  | { readonly kind: 'held' }
  /** It ended without the blob, for reasons of its own waiters. */
  | { readonly kind: 'ended' };

/** One fetch of a blob from the registries, for the stores that take part in it. It ends when the last of them leaves. */
export class RunningFetch {
  /** Whose view of the registries it uses. */
  readonly context: HeartContext;
  /** Settles when every store that stayed has the blob, or nobody can have it. */
  readonly done: Promise<void>;
  readonly #fanOut: FanOut;
  readonly #assembly: Assembly;
  readonly #work: DerivedAbort;
  readonly #onEnd: () => void;

  /** @param onEnd called when nobody can join any more */
  constructor(context: HeartContext, blob: WantedBlob, first: Outlet, onEnd: () => void) {
    this.#work = deriveAbort(context.outliving);
    this.#onEnd = onEnd;
    this.context = { ...context, signal: this.#work.signal };
    this.#fanOut = new FanOut(first, (slow) => {
      slow.part(this.#assembly.checkpoint());
    });
    this.#assembly = new Assembly(blob, this.#fanOut);
    this.done = this.#run();
    // Everybody may have left by the time it fails.
    this.done.catch(() => {});
  }

  /** Where it stands. */
  checkpoint(): Checkpoint {
    return this.#assembly.checkpoint();
  }

  /** Lets one more store in; false when the beginning is gone, or the store has bytes of its own. */
  join(outlet: Outlet): boolean {
    return this.#fanOut.join(outlet);
  }

  /** A store has all it wanted, or wants nothing more. */
  leave(outlet: Outlet): void {
    this.#fanOut.leave(outlet);
    if (this.#fanOut.outlets.size > 0) return;
    this.#onEnd();
    this.#work.abort(new Error('no store takes this blob any more'));
  }

  /**
   * Waits for the end without taking part.
   *
   * @throws PullExhaustedError when no registry had it; the signal's own reason
   */
  async watch(signal: AbortSignal): Promise<Watched> {
    using pause = deriveAbort(signal);
    const whole = this.#fanOut.whole.then((store): Watched => ({ kind: 'whole', store }));
    const ended = this.done.then(
      (): Watched => ({ kind: 'ended' }),
      (error: unknown): Watched => {
        if (isPullExhaustedError(error)) throw error;
        return { kind: 'ended' };
      },
    );
    const startedAtMs = loopMs();
    const heldBeforeMs = this.#fanOut.heldMs;
    try {
      for (;;) {
        const tick = sleep(maxHoldMs, pause.signal).then(() => null);
        tick.catch(() => {});
        const watched = await abortable(Promise.race([whole, ended, tick]), signal);
        if (watched !== null) return watched;
        const heldMs = this.#fanOut.heldMs - heldBeforeMs;
        if (heldMs > maxHoldMs + (loopMs() - startedAtMs - maxHoldMs) * heldShare) return { kind: 'held' };
      }
    } finally {
      pause.abort(null);
    }
  }

  async #run(): Promise<void> {
    try {
      await primeBlob(this.context, this.#assembly);
      await completeBlob(this.context, this.#assembly);
    } finally {
      this.#onEnd();
      this.#work[Symbol.dispose]();
    }
  }
}
