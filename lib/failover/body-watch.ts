import type { BlobBody } from '../distribution/client.js';
import { ExchangeError } from '../distribution/wire-error.js';
import { startLoopTimer, type LoopTimer } from '../policy/loop-timer.js';
import { createThroughput } from '../policy/throughput.js';
import type { LimitName } from '../vocabulary/evidence.js';

/** What a body must keep up with while somebody waits for it. */
export interface BodyLimits {
  /** Longest silence, in milliseconds. */
  readonly stallMs: number;
  /** The floor, over a sliding window. */
  readonly minBytesPerSecond: number;
  readonly windowMs: number;
  /** Whether the floor holds now: only while somebody else could do better. */
  readonly enforceFloor: () => boolean;
}

/** Reads a body within its limits. */
export interface WatchedBody {
  /** The next bytes, or null at the end. @throws ExchangeError when a limit expires or the exchange fails */
  read(): Promise<Uint8Array | null>;
  close(): void;
}

/** How often the floor is looked at, as a share of its window: late by at most this much, half a second by default. */
const floorChecksPerWindow = 30;

/**
 * Watches over a body. Both clocks run only while bytes are waited for: a slow reader, whose own work lies between
 * two reads, is never taken for a slow registry.
 */
export function watchBody(body: BlobBody, limits: BodyLimits): WatchedBody {
  const { stallMs, minBytesPerSecond, windowMs } = limits;
  const throughput = createThroughput(windowMs);
  let expire: ((error: ExchangeError) => void) | null = null;

  const expired = (limit: LimitName, value: number, message: string): void => {
    const evidence = { kind: 'limit', limit, value, bytes: body.bytes } as const;
    expire?.(new ExchangeError(message, { evidence, phase: 'layers' }));
  };

  const stall = startLoopTimer(stallMs, () => {
    expired('layers.stallMs', stallMs, `no byte for ${stallMs} ms`);
  });
  stall.pause();

  const hasFloor = minBytesPerSecond > 0 && Number.isFinite(windowMs);
  let floor: LoopTimer | null = null;
  const checkFloor = (): void => {
    if (throughput.covered() && throughput.bytesPerSecond() < minBytesPerSecond && limits.enforceFloor()) {
      const rate = Math.round(throughput.bytesPerSecond());
      expired('layers.minBytesPerSecond', minBytesPerSecond, `${rate} bytes/s over ${windowMs} ms`);
    }
    floor = startLoopTimer(Math.max(1, Math.ceil(windowMs / floorChecksPerWindow)), checkFloor);
  };
  if (hasFloor) checkFloor();

  return {
    async read() {
      const expiry = new Promise<never>((_, reject) => {
        expire = reject;
      });
      throughput.resume();
      stall.restart();
      stall.resume();
      try {
        const chunk = await Promise.race([body.read(), expiry]);
        if (chunk !== null) throughput.add(chunk.length);
        return chunk;
      } finally {
        expire = null;
        stall.pause();
        throughput.pause();
      }
    },
    close() {
      stall.cancel();
      floor?.cancel();
      body.cancel();
    },
  };
}
