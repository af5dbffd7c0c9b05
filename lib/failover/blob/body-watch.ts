import type { BlobBody } from '../../distribution/client.js';
import { ExchangeError } from '../../distribution/wire-error.js';
import { startLoopTimer } from '../../policy/loop-timer.js';
import type { DeliveryFloor } from './delivery-floor.js';

/** What a body must keep up with while somebody waits for it. */
export interface BodyLimits {
  /** Longest silence, in milliseconds. */
  readonly stallMs: number;
  /** Of the whole delivery that this body is a part of. */
  readonly floor: DeliveryFloor;
}

/** Reads a body within its limits. */
export interface WatchedBody {
  /** The next bytes, or null at the end. @throws ExchangeError when a limit expires or the exchange fails */
  read(): Promise<Uint8Array | null>;
  close(): void;
}

/**
 * Watches over a body. Both clocks run only while bytes are waited for: a slow reader, whose own work lies between
 * two reads, is never taken for a slow registry.
 */
export function watchBody(body: BlobBody, { stallMs, floor }: BodyLimits): WatchedBody {
  let expire: ((error: ExchangeError) => void) | null = null;

  const stall = startLoopTimer(stallMs, () => {
    const evidence = { kind: 'limit', limit: 'layers.stallMs', value: stallMs, bytes: body.bytes } as const;
    expire?.(new ExchangeError(`no byte for ${stallMs} ms`, { evidence, phase: 'layers' }));
  });
  stall.pause();

  const checks = startLoopTimer(floor.checkMs, () => {
    checks.restart();
    const error = floor.tooSlow();
    if (error !== null) expire?.(error);
  });

  return {
    async read() {
      const expiry = new Promise<never>((_, reject) => {
        expire = reject;
      });
      floor.resume();
      stall.restart();
      stall.resume();
      try {
        const chunk = await Promise.race([body.read(), expiry]);
        if (chunk !== null) floor.arrived(chunk.length);
        return chunk;
      } finally {
        expire = null;
        stall.pause();
        floor.pause();
      }
    },
    close() {
      stall.cancel();
      checks.cancel();
      body.cancel();
    },
  };
}
