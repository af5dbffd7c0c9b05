import { loopMs } from '../../policy/loop-timer.js';

/** What a connection has shown of a registry. */
export interface MeasuredRate {
  readonly bytesPerSecond: number;
  /** The longest time without a byte, in milliseconds. */
  readonly longestPauseMs: number;
}

/** Measures one connection while bytes are waited for. */
export interface FlightMeter {
  arrived(bytes: number): void;
  /** What follows is not the registry's time. */
  pause(): void;
  resume(): void;
}

/** Below it a rate says more of one burst in a buffer than of the link. */
const fewBytes: number = 256 * 1024;

/** @param onMeasured told anew after every so many bytes */
export function createFlightMeter(onMeasured: (rate: MeasuredRate) => void): FlightMeter {
  let bytes = 0;
  let sinceTold = 0;
  let waitedMs = 0;
  let longestPauseMs = 0;
  let lastMs: number | null = null;
  let isPaused = false;
  return {
    arrived: (count) => {
      const nowMs = loopMs();
      if (lastMs !== null) {
        const pauseMs = nowMs - lastMs;
        waitedMs += pauseMs;
        longestPauseMs = Math.max(longestPauseMs, pauseMs);
        // The first bytes begin the measurement: what led to them is not the rate.
        bytes += count;
        sinceTold += count;
      }
      lastMs = nowMs;
      if (sinceTold < fewBytes) return;
      sinceTold = 0;
      onMeasured({ bytesPerSecond: (bytes * 1_000) / Math.max(1, waitedMs), longestPauseMs });
    },
    pause: () => {
      isPaused = true;
    },
    resume: () => {
      if (!isPaused) return;
      isPaused = false;
      if (lastMs !== null) lastMs = loopMs();
    },
  };
}
