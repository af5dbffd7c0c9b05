import type { Answerer } from '../vocabulary/evidence.js';
import type { IncomingBody } from './incoming-body.js';
import { ExchangeError } from './wire-error.js';

/** The bytes of a blob as they arrive. One reader, one `read()` at a time. */
export interface BlobBody {
  /**
   * The next bytes, not copied; null at a clean end: as many bytes came as were announced. While it is pending, the
   * reader is waiting for the registry; at any other time the registry may be waiting for the reader.
   *
   * @throws ExchangeError when the exchange fails; the signal's own reason at an abort
   */
  read(): Promise<Uint8Array | null>;
  /** Body bytes that arrived so far, read or not. */
  readonly bytes: number;
  /** Milliseconds in which this process did not take what arrived: a slow reader, a loop that did not turn. */
  readonly lateMs: number;
  /** Ends the exchange at once, its connection with it; after the end it does nothing. */
  cancel(): void;
}

/** What a blob's body must be like. */
export interface BlobExpectation {
  /** Bytes that must come; fewer are a connection that was lost, more are another blob. */
  readonly length: number;
  readonly answerer: Answerer;
  readonly reused: boolean;
  readonly signal: AbortSignal;
  /** Called when the exchange fails, and not when it is ended by its caller or reader. */
  readonly failed?: () => void;
  /** Called once, when the connection is no longer used by this body. */
  readonly ended: () => void;
}

/** Wraps the body of an answer whose head was good. */
export function createBlobBody(incoming: IncomingBody, expected: BlobExpectation): BlobBody {
  const { length, signal } = expected;
  let delivered = 0;
  let open = true;

  function end(): void {
    if (!open) return;
    open = false;
    signal.removeEventListener('abort', aborted);
    expected.ended();
  }

  function stop(error: unknown): void {
    incoming.cancel(error);
    end();
  }

  // Also where everything has arrived: the reader may never ask for it.
  const aborted = (): void => stop(signal.reason);
  signal.addEventListener('abort', aborted, { once: true });

  function fail(error: ExchangeError): never {
    expected.failed?.();
    stop(error);
    throw error;
  }

  return {
    get bytes() {
      return incoming.bytes;
    },
    get lateMs() {
      return incoming.lateMs;
    },
    read: async () => {
      let chunk: Uint8Array | null;
      try {
        chunk = await incoming.read();
      } catch (error) {
        if (open) expected.failed?.();
        end();
        throw error;
      }
      if (chunk === null) {
        if (delivered < length) return fail(endedEarly(incoming, expected, delivered));
        end();
        return null;
      }
      if (delivered + chunk.length > length) return fail(tooLong(expected));
      delivered += chunk.length;
      return chunk;
    },
    cancel: () => {
      if (!open) return;
      stop(
        new ExchangeError('the body was cancelled by its reader', { evidence: { kind: 'aborted' }, phase: 'layers' }),
      );
    },
  };
}

/** Without a Content-Length the end of the connection looks like the end of the body. */
function endedEarly(incoming: IncomingBody, expected: BlobExpectation, delivered: number): ExchangeError {
  const { reused, length } = expected;
  return new ExchangeError(`the body ended after ${delivered} of ${length} bytes`, {
    evidence: { kind: 'connection', code: 'closed', reused, bytes: incoming.bytes, lateMs: incoming.lateMs },
    phase: 'layers',
  });
}

function tooLong(expected: BlobExpectation): ExchangeError {
  return new ExchangeError(`the body is longer than ${expected.length} bytes`, {
    evidence: { kind: 'content', code: 'length-mismatch', from: expected.answerer },
    phase: 'layers',
  });
}
