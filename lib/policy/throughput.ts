import { loopMs } from './loop-timer.js';

/** The parts the window is kept in: memory stays the same at any rate, and the window slides in steps of 1/64. */
const slots = 64;

/** How fast bytes arrive, over a window that slides. */
export interface Throughput {
  /** Bytes arrived. The first call begins the measurement. */
  add(bytes: number, atMs?: number): void;
  /** What follows is not the peer's time (a slow disk makes us wait). */
  pause(atMs?: number): void;
  resume(atMs?: number): void;
  /** The mean rate over the window, or since the first byte where that is shorter; 0 before it. */
  bytesPerSecond(nowMs?: number): number;
  /** Whether a whole window has been observed: before that a rate says little. */
  covered(nowMs?: number): boolean;
}

/**
 * Measures over the last `windowMs` milliseconds (at most 1/64 more, never less). Times are those of `loopMs`, which is
 * read where none is given, so that a loop that did not turn does not look like a slow peer.
 */
export function createThroughput(windowMs: number): Throughput {
  const slotMs = windowMs / slots;
  // One more than the window needs: the slot that is being filled is only partly over.
  const ring: number[] = Array.from({ length: slots + 1 }, () => 0);
  let startedAtMs: number | null = null;
  let pausedAtMs: number | null = null;
  /** The slot that is being filled, counted from the first byte. */
  let newest = 0;

  /** Milliseconds since the first byte in which nobody paused. */
  function elapsedMs(atMs: number): number {
    return startedAtMs === null ? 0 : Math.max(0, (pausedAtMs ?? atMs) - startedAtMs);
  }

  function slideTo(elapsed: number): void {
    const slot = Math.floor(elapsed / slotMs);
    if (slot - newest > ring.length) ring.fill(0);
    else for (let passed = newest + 1; passed <= slot; passed += 1) ring[passed % ring.length] = 0;
    newest = Math.max(newest, slot);
  }

  return {
    add: (bytes, atMs = loopMs()) => {
      startedAtMs ??= atMs;
      slideTo(elapsedMs(atMs));
      const slot = newest % ring.length;
      ring[slot] = (ring[slot] ?? 0) + bytes;
    },
    pause: (atMs = loopMs()) => {
      if (startedAtMs !== null) pausedAtMs ??= atMs;
    },
    resume: (atMs = loopMs()) => {
      if (startedAtMs === null || pausedAtMs === null) return;
      startedAtMs += atMs - pausedAtMs;
      pausedAtMs = null;
    },
    bytesPerSecond: (nowMs = loopMs()) => {
      const elapsed = elapsedMs(nowMs);
      slideTo(elapsed);
      const oldest = Math.max(0, newest - slots);
      const spanMs = oldest === 0 ? elapsed : elapsed - oldest * slotMs;
      const bytes = ring.reduce((sum, slot) => sum + slot, 0);
      // In its first millisecond a burst would have any rate.
      return bytes === 0 ? 0 : (bytes * 1_000) / Math.max(1, spanMs);
    },
    covered: (nowMs = loopMs()) => startedAtMs !== null && elapsedMs(nowMs) >= windowMs,
  };
}
