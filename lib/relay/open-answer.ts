import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { loopMs } from '../policy/loop-timer.js';

/** Whoever asked has closed the connection before the answer's end. */
export class HangUpError extends Error {
  override readonly name = 'HangUpError';

  constructor() {
    super('the daemon has closed the connection');
  }
}

/** What an answer begins with, once it begins. */
export interface AnswerHead {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
}

/**
 * How long headers wait for the first byte, so that a blob which nobody has can still be answered with 404: that ends
 * a daemon's tries at once. Longer, and Docker 29.7 gives up by itself after 30 s without headers.
 */
const longestHeadDelayMs = 10_000;

const done: Promise<void> = Promise.resolve();

/** The body of one answer on its way to the daemon: nothing is copied, and nothing more is taken than it reads. */
export class OpenAnswer {
  /** Aborted when the daemon has gone before the end. */
  readonly gone: AbortSignal;
  readonly #response: ServerResponse;
  readonly #head: AnswerHead;
  readonly #onTaken: () => void;
  readonly #headTimer: NodeJS.Timeout;
  #unreadSinceMs: number | null = null;
  #waiting: { readonly resolve: () => void; readonly reject: (error: unknown) => void } | null = null;

  /** @param onTaken called whenever the daemon has taken bytes */
  constructor(response: ServerResponse, head: AnswerHead, onTaken: () => void) {
    this.#response = response;
    this.#head = head;
    this.#onTaken = onTaken;
    const gone = new AbortController();
    this.gone = gone.signal;
    this.#headTimer = setTimeout(() => this.#begin(), longestHeadDelayMs);
    this.#headTimer.unref();
    const settle = (): void => {
      const waiting = this.#waiting;
      this.#waiting = null;
      this.#unreadSinceMs = null;
      this.#onTaken();
      waiting?.resolve();
    };
    response.on('drain', settle);
    response.once('finish', settle);
    const closed = (): void => {
      clearTimeout(this.#headTimer);
      if (response.writableFinished) return;
      const error = new HangUpError();
      gone.abort(error);
      this.#unreadSinceMs = null;
      this.#waiting?.reject(error);
      this.#waiting = null;
    };
    response.once('close', closed);
    const { socket } = response.req;
    // The answer before is with the daemon, and not yet known here to be out: this one would not hear of its connection.
    if (response.socket === null) socket.once('close', closed);
    if (response.destroyed || socket.destroyed) {
      clearTimeout(this.#headTimer);
      gone.abort(new HangUpError());
    }
  }

  get isBegun(): boolean {
    return this.#response.headersSent;
  }

  /** On the clock of `loopMs`: since when bytes wait that the daemon does not take; null while there are none. */
  get unreadSinceMs(): number | null {
    return this.#unreadSinceMs;
  }

  /** Resolves when more may come. Each call is awaited before the next. */
  write(bytes: Uint8Array): Promise<void> {
    if (this.gone.aborted) return Promise.reject(this.gone.reason);
    this.#begin();
    if (!this.#response.write(bytes)) return this.#settled();
    this.#onTaken();
    return done;
  }

  /** Resolves when the last byte is out of this process. */
  end(bytes: Uint8Array): Promise<void> {
    if (this.gone.aborted) return Promise.reject(this.gone.reason);
    this.#begin();
    // In one go with the last byte: a client that has all it was promised sends its next request.
    this.#response.end(bytes);
    return this.#settled();
  }

  /** Closes the connection in the middle: nobody can take this for the end. */
  destroy(): void {
    this.#response.destroy();
  }

  /** Lets somebody else answer, as long as nothing has begun. */
  giveBack(): ServerResponse {
    clearTimeout(this.#headTimer);
    return this.#response;
  }

  #begin(): void {
    if (this.#response.headersSent || this.#response.destroyed) return;
    clearTimeout(this.#headTimer);
    this.#response.writeHead(this.#head.status, this.#head.headers);
    this.#response.flushHeaders();
  }

  #settled(): Promise<void> {
    this.#unreadSinceMs = loopMs();
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }
}
