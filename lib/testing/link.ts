import { monotonicMs } from '../clock/time.js';
import { openOptionBag } from '../policy/option-bag.js';

/** How fast a double or proxy sends, as a network between it and the client would. Without it: as fast as it goes. */
export interface Bandwidth {
  /** Shared fairly by all connections. Default: no limit. */
  readonly totalBytesPerSecond?: number;
  /** What one connection gets at most. Default: no limit. */
  readonly perConnectionBytesPerSecond?: number;
  /** One round trip, in milliseconds: each answer begins so much later, the first of a connection twice. Default 0. */
  readonly latencyMs?: number;
}

/** A shaped link. */
export interface Link {
  /** How long the answer to a request waits for the network. */
  answerDelayMs(firstOfConnection: boolean): number;
  /** A sender's share of the link, one per connection. */
  openLane(): Lane;
}

/** One connection's share of a link. */
export interface Lane {
  /** The most to send in one go. */
  readonly sliceBytes: number;
  /** Milliseconds to wait before so many bytes are sent; they count as sent. */
  takeMs(bytes: number): number;
}

/** A timer that fires late must not cost bandwidth: that much unused time may be made up for. */
const burstMs = 20;
/** A slice is what the link carries in this time: shorter costs timers, longer makes the stream jerky. */
const sliceMs = 5;
const smallestSliceBytes = 1024;
const largestSliceBytes: number = 64 * 1024;

export function createLink(bandwidth: Bandwidth | undefined): Link {
  const bag = openOptionBag('bandwidth', bandwidth, [
    'totalBytesPerSecond',
    'perConnectionBytesPerSecond',
    'latencyMs',
  ]);
  const total = bag.number('totalBytesPerSecond', { min: 1, infinity: true }) ?? Infinity;
  const perConnection = bag.number('perConnectionBytesPerSecond', { min: 1, infinity: true }) ?? Infinity;
  const latencyMs = bag.number('latencyMs', { min: 0 }) ?? 0;
  const shared = createBucket(total);
  const slowest = Math.min(total, perConnection);
  const sliceBytes = Math.max(smallestSliceBytes, Math.min(largestSliceBytes, Math.round((slowest * sliceMs) / 1000)));
  return {
    answerDelayMs: (firstOfConnection) => (firstOfConnection ? 2 * latencyMs : latencyMs),
    openLane: () => {
      const own = createBucket(perConnection);
      return { sliceBytes, takeMs: (bytes) => Math.max(own(bytes), shared(bytes)) };
    },
  };
}

/** A token bucket that is asked for bytes and says how long to wait for them. */
function createBucket(bytesPerSecond: number): (bytes: number) => number {
  if (bytesPerSecond === Infinity) return () => 0;
  let freeAtMs = monotonicMs();
  return (bytes) => {
    const nowMs = monotonicMs();
    const startAtMs = Math.max(freeAtMs, nowMs - burstMs);
    freeAtMs = startAtMs + (bytes * 1000) / bytesPerSecond;
    return Math.max(0, startAtMs - nowMs);
  };
}
