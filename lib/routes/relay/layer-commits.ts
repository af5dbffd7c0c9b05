import { loopMs } from '../../policy/loop-timer.js';
import type { Digest } from '../../vocabulary/digest.js';

/**
 * The longest that a daemon is believed to be writing one layer which it was given whole, in milliseconds. On a disk
 * that others keep busy, flushing a few hundred KiB was measured to take seconds.
 */
const commitMs = 30_000;

/**
 * Layers that a daemon was given whole and has not yet said to have: it flushes and checks them. Until that is done it
 * asks nobody for the same layer again, and on some stores the layer keeps its download slot.
 */
export interface LayerCommits {
  given(digest: Digest): void;
  /** How many are under way. */
  readonly open: number;
  /** On the clock of `loopMs`: when one of them was last under way; now while it is, `-Infinity` when none ever was. */
  lastAtMs(digests: readonly Digest[]): number;
  /** The daemon has spoken: notes which of them have ended. */
  look(): void;
}

/** `isHere` tells whether the daemon has said that it has this layer. */
export function createLayerCommits(isHere: (digest: Digest) => boolean): LayerCommits {
  const givenAtMs = new Map<Digest, number>();
  const endedAtMs = new Map<Digest, number>();

  function aliveAtMs(digest: Digest): number {
    const beganMs = givenAtMs.get(digest);
    if (beganMs === undefined) return -Infinity;
    return endedAtMs.get(digest) ?? Math.min(loopMs(), beganMs + commitMs);
  }

  return {
    given: (digest) => {
      givenAtMs.set(digest, loopMs());
    },
    get open() {
      const nowMs = loopMs();
      return [...givenAtMs.keys()].filter((digest) => !endedAtMs.has(digest) && aliveAtMs(digest) >= nowMs).length;
    },
    lastAtMs: (digests) => Math.max(-Infinity, ...digests.map(aliveAtMs)),
    look: () => {
      for (const digest of givenAtMs.keys()) {
        if (!endedAtMs.has(digest) && isHere(digest)) endedAtMs.set(digest, loopMs());
      }
    },
  };
}
