import { loopMs } from '../../policy/loop-timer.js';
import type { Measured } from '../link-speed.js';

/** Measures one connection while bytes are waited for. */
export interface FlightMeter {
  arrived(bytes: number): void;
  /** What follows is not the registry's time. */
  pause(): void;
  resume(): void;
}

/** Told after so many bytes: often enough for a rate, seldom enough to cost nothing. */
const toldBytes: number = 256 * 1024;

/** A pause this long is told at once, in milliseconds: whoever waits for the next one must know it. */
const toldPauseMs = 50;

/** @param onMeasured told anew every now and then */
export function createFlightMeter(onMeasured: (measured: Measured) => void): FlightMeter {
  let bytes = 0;
  let waitedMs = 0;
  let longestPauseMs = 0;
  let lastMs: number | null = null;
  let isPaused = false;
  return {
    arrived: (count) => {
      const nowMs = loopMs();
      const pauseMs = lastMs === null ? 0 : nowMs - lastMs;
      // The first bytes begin the measurement: what led to them is not the rate.
      if (lastMs !== null) bytes += count;
      lastMs = nowMs;
      waitedMs += pauseMs;
      longestPauseMs = Math.max(longestPauseMs, pauseMs);
      if (bytes < toldBytes && pauseMs < toldPauseMs) return;
      onMeasured({ bytes, waitedMs, longestPauseMs });
      bytes = 0;
      waitedMs = 0;
    },
    pause: () => {
      isPaused = true;
    },
    resume: () => {
      if (isPaused && lastMs !== null) lastMs = loopMs();
      isPaused = false;
    },
  };
}
