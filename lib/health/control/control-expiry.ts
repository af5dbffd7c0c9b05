import { epochMs } from '../../clock/time.js';

/** A clock that was set forward, or a host that slept, ends an act at most so much later than it should. */
const longestStepMs = 60_000;

/** Wakes up when something is over by the clock that people read. Keeps no process alive. */
export interface ExpiryTimer {
  /** @param untilMs the next moment to wake up, in milliseconds since the epoch; null: none */
  set(untilMs: number | null): void;
}

/** @param onOver called at the moment that was set, or a little later; it may set the next one */
export function createExpiryTimer(onOver: () => void): ExpiryTimer {
  let timeout: NodeJS.Timeout | null = null;

  function set(untilMs: number | null): void {
    if (timeout !== null) clearTimeout(timeout);
    timeout = null;
    if (untilMs === null) return;
    const leftMs = Math.max(1, untilMs - epochMs());
    timeout = setTimeout(() => (epochMs() >= untilMs ? onOver() : set(untilMs)), Math.min(leftMs, longestStepMs));
    timeout.unref();
  }

  return { set };
}
