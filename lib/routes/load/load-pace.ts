import { monotonicMs } from '../../clock/time.js';
import { sleep } from '../../policy/deadline.js';

/** Holds everything that is sent to one engine to so many bytes a second, all loads together. */
export interface LoadPace {
  /** Cuts a chunk so that no piece takes longer than a moment. */
  pieces(chunk: Uint8Array): Iterable<Uint8Array>;
  /** Resolves when this many bytes may go. @throws the signal's own reason */
  take(bytes: number, signal: AbortSignal): Promise<void>;
}

/** A piece takes this long at most, in milliseconds: a link that is shared must not be filled in bursts of a second. */
const pieceMs = 50;
/** Below this a piece costs more than it carries. */
const minPieceBytes = 1024;

const unlimited: LoadPace = { pieces: (chunk) => [chunk], take: async () => {} };

/** @param maxBytesPerSecond `Infinity` for no cap */
export function createLoadPace(maxBytesPerSecond: number): LoadPace {
  if (maxBytesPerSecond === Infinity) return unlimited;
  const pieceBytes = Math.max(minPieceBytes, Math.floor((maxBytesPerSecond * pieceMs) / 1000));
  let freeAtMs = 0;
  return {
    *pieces(chunk) {
      for (let at = 0; at < chunk.length; at += pieceBytes) yield chunk.subarray(at, at + pieceBytes);
    },
    take: async (bytes, signal) => {
      const nowMs = monotonicMs();
      // What was not used is not saved up: a pause is no licence for a burst.
      const startMs = Math.max(nowMs, freeAtMs);
      freeAtMs = startMs + (bytes / maxBytesPerSecond) * 1000;
      if (startMs > nowMs) await sleep(startMs - nowMs, signal);
    },
  };
}
