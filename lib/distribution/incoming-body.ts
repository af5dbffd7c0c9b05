import { loopMs, lostMs } from '../policy/loop-timer.js';

/** The body of an answer as it arrives. One reader, one `read()` at a time. */
export interface IncomingBody {
  /** The next bytes, without copying; null at the end that the framing of the answer gives. */
  read(): Promise<Uint8Array | null>;
  /** Resolves when a byte has arrived, or the end; rejects when the exchange failed before. */
  arrived(): Promise<void>;
  /** Bytes that arrived so far, read or not. */
  readonly bytes: number;
  /** Whether everything has arrived, read or not. */
  readonly complete: boolean;
  /** Milliseconds in which this process did not take what arrived: a full buffer, a loop that did not turn. */
  readonly lateMs: number;
  /** Ends the exchange at once, its connection with it. A waiting `read()` rejects with `reason`. */
  cancel(reason: unknown): void;
}

/** The sending side of an incoming body, driven by the connection. */
export interface BodyIntake {
  readonly body: IncomingBody;
  push(chunk: Uint8Array): void;
  end(): void;
  fail(error: unknown): void;
}

/** What the intake does to the connection. */
export interface BodyFlow {
  pause(): void;
  resume(): void;
  /** Destroys the connection. */
  stop(): void;
}

/**
 * Bytes held for a reader that is slower than the peer: about what a fast link brings while one chunk is hashed and
 * written. With the socket's own 64 KiB this is all that an exchange holds.
 */
export const maxBufferedBytes: number = 256 * 1024;

/** Chunks of one byte each must not cost more memory than large ones. */
const maxBufferedChunks = 1_024;

/** @param lostBeforeMs what `lostMs()` said when the exchange began */
export function createBodyIntake(flow: BodyFlow, lostBeforeMs: number): BodyIntake {
  const chunks: Uint8Array[] = [];
  let bufferedBytes = 0;
  let bytes = 0;
  let state: 'open' | 'complete' | 'failed' = 'open';
  let failure: unknown = null;
  let paused = false;
  let pausedAtMs = 0;
  let pausedMs = 0;
  let reader: { resolve: (chunk: Uint8Array | null) => void; reject: (error: unknown) => void } | null = null;
  const onArrival: { resolve: () => void; reject: (error: unknown) => void }[] = [];

  function take(): Uint8Array | null {
    const chunk = chunks.shift();
    if (chunk === undefined) return null;
    bufferedBytes -= chunk.length;
    return chunk;
  }

  function goOnIfRoom(): void {
    if (!paused || bufferedBytes > maxBufferedBytes / 2 || chunks.length > maxBufferedChunks / 2) return;
    paused = false;
    pausedMs += loopMs() - pausedAtMs;
    // Pushes what the parser holds before it returns.
    flow.resume();
  }

  function settleArrivals(how: (waiting: { resolve: () => void; reject: (error: unknown) => void }) => void): void {
    for (const waiting of onArrival.splice(0)) how(waiting);
  }

  function fail(error: unknown): void {
    if (state !== 'open') return;
    state = 'failed';
    failure = error;
    reader?.reject(error);
    reader = null;
    settleArrivals((waiting) => waiting.reject(error));
  }

  const body: IncomingBody = {
    get bytes() {
      return bytes;
    },
    get complete() {
      return state === 'complete';
    },
    get lateMs() {
      const stillPausedMs = paused ? loopMs() - pausedAtMs : 0;
      return Math.round(pausedMs + stillPausedMs + lostMs() - lostBeforeMs);
    },
    read: () =>
      new Promise((resolve, reject) => {
        if (reader !== null) {
          reject(new TypeError('a body has one reader, which waits for one read() at a time'));
          return;
        }
        // What arrived before a failure is good, and need not be fetched again.
        const chunk = take();
        if (chunk !== null) {
          resolve(chunk);
          goOnIfRoom();
        } else if (state === 'complete') {
          resolve(null);
        } else if (state === 'failed') {
          reject(failure);
        } else {
          reader = { resolve, reject };
          goOnIfRoom();
        }
      }),
    arrived: () =>
      new Promise((resolve, reject) => {
        if (bytes > 0 || state === 'complete') resolve();
        else if (state === 'failed') reject(failure);
        else onArrival.push({ resolve, reject });
      }),
    cancel: (reason) => {
      const wasOpen = state === 'open';
      chunks.length = 0;
      bufferedBytes = 0;
      if (state === 'complete') {
        // What was not read is gone: a later read must not take that for a clean end.
        state = 'failed';
        failure = reason;
      }
      fail(reason);
      if (wasOpen) flow.stop();
    },
  };

  return {
    body,
    push: (chunk) => {
      if (state !== 'open' || chunk.length === 0) return;
      bytes += chunk.length;
      if (reader === null) {
        chunks.push(chunk);
        bufferedBytes += chunk.length;
      } else {
        const waiting = reader;
        reader = null;
        waiting.resolve(chunk);
      }
      if (onArrival.length > 0) settleArrivals((waiting) => waiting.resolve());
      if (!paused && (bufferedBytes >= maxBufferedBytes || chunks.length >= maxBufferedChunks)) {
        paused = true;
        pausedAtMs = loopMs();
        flow.pause();
      }
    },
    end: () => {
      if (state !== 'open') return;
      state = 'complete';
      reader?.resolve(null);
      reader = null;
      settleArrivals((waiting) => waiting.resolve());
    },
    fail,
  };
}
