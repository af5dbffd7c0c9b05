import { monotonicMs } from '../../clock/time.js';
import { probeBytes } from './probe-targets-document.js';

/** What may be read from one registry within any minute. */
export interface ByteAllowance {
  /** How much one probe reads of a layer. */
  readonly bytesPerProbe: number;
  /** Milliseconds until there is room for a probe; 0: now. */
  waitMs(): number;
  /** Sets a probe's bytes aside; returns what tells how many came in the end. */
  take(): (arrivedBytes: number) => void;
  /** What may still be read within this minute. */
  readonly leftBytes: number;
  /** Nothing was read within the last minute. */
  readonly isUnused: boolean;
}

const minuteMs = 60_000;

/** Over any sixty seconds, not per minute of the clock: two halves of a minute could otherwise be one burst. */
export function createByteAllowance(maxBytesPerMinute: number): ByteAllowance {
  const bytesPerProbe = Math.min(probeBytes, maxBytesPerMinute);
  let spent: { readonly atMs: number; bytes: number }[] = [];

  function inLastMinute(): number {
    const nowMs = monotonicMs();
    spent = spent.filter(({ atMs }) => nowMs - atMs < minuteMs);
    return spent.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  return {
    bytesPerProbe,
    waitMs: () => {
      let over = inLastMinute() + bytesPerProbe - maxBytesPerMinute;
      if (over <= 0) return 0;
      const nowMs = monotonicMs();
      for (const { atMs, bytes } of spent) {
        over -= bytes;
        if (over <= 0) return Math.ceil(atMs + minuteMs - nowMs);
      }
      return minuteMs;
    },
    take: () => {
      const entry = { atMs: monotonicMs(), bytes: bytesPerProbe };
      spent.push(entry);
      return (arrivedBytes) => {
        entry.bytes = arrivedBytes;
      };
    },
    get leftBytes() {
      return Math.max(0, maxBytesPerMinute - inLastMinute());
    },
    get isUnused() {
      return inLastMinute() === 0;
    },
  };
}
