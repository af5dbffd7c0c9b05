import type net from 'node:net';
import { Client } from 'undici';
import type { Peer } from './address-zone.js';
import { headersOf, type Headers } from './headers.js';
import { lostMs } from '../policy/loop-timer.js';
import { createBodyIntake, type BodyIntake, type IncomingBody } from './incoming-body.js';

/** One request as it goes over a connection. */
export interface ConnectionRequest {
  readonly method: 'GET' | 'HEAD' | 'POST';
  /** A path with its query; the whole URL to a proxy that forwards plain HTTP. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** What `lostMs()` said when the exchange began, connecting included. */
  readonly lostBeforeMs: number;
  /** Turns an error of the connection into the one that the reader gets. */
  readonly explain: (error: unknown, arrived: Arrived) => unknown;
}

/** What had arrived when a connection failed. */
export interface Arrived {
  readonly headArrived: boolean;
  readonly reused: boolean;
  readonly bytes: number;
  readonly lateMs: number;
}

/** The head of an answer, and its body as it arrives. */
export interface ConnectionAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: IncomingBody;
}

/** One socket to one origin, with at most one request at a time. */
export interface Connection {
  /** Where the socket leads; null when a proxy stands between. */
  readonly peer: Peer | null;
  /** Requests sent so far. */
  readonly requests: number;
  /** Whether it waits for a request. */
  readonly idle: boolean;
  /** Rejects, before and after the head, with what `request.explain` makes of an error, or with the signal's own reason. */
  send(request: ConnectionRequest, signal: AbortSignal): Promise<ConnectionAnswer>;
  /** It was opened ahead of its first request: it becomes idle, and is closed when none comes. */
  wait(): void;
  destroy(): void;
}

/** What a connection tells its pool. */
export interface ConnectionEvents {
  /** The answer has been read whole, and the peer keeps the connection open. */
  readonly becameIdle: (connection: Connection) => void;
  readonly ended: (connection: Connection) => void;
}

/**
 * How long an idle connection is kept. Servers commonly close theirs after 5 s (Node's own default), and a request
 * that crosses with the close is lost. A peer's `Keep-Alive: timeout` is followed up to the second value.
 */
const idleMs = 4_000;
const maxIdleMs = 60_000;

/** Twice what servers commonly allow: signed URLs in Location are long, and some registries send many cookies. */
const maxHeaderBytes = 32 * 1024;

/** Interim answers (1xx) carry nothing here; a peer that sends them without end is not answering. */
const maxInterimAnswers = 16;

/** The peer spoke something else than HTTP/1.1, or broke its rules. */
export class MalformedAnswerError extends Error {
  override readonly name = 'MalformedAnswerError';
}

/** Speaks HTTP/1.1 over an open socket, which belongs to the connection from now on. */
export function createConnection(
  origin: string,
  socket: net.Socket,
  peer: Peer | null,
  events: ConnectionEvents,
): Connection {
  let requests = 0;
  let busy = false;
  let handedOver = false;
  let unused: NodeJS.Timeout | null = null;

  const client = new Client(origin, {
    pipelining: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: idleMs,
    keepAliveMaxTimeout: maxIdleMs,
    maxHeaderSize: maxHeaderBytes,
    connect: (_options, connected) => {
      // undici would open another connection when this one is gone; to us that is a failure to be seen.
      const gone = handedOver || socket.destroyed;
      handedOver = true;
      queueMicrotask(() => {
        if (gone) connected(Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' }), null);
        else connected(null, socket);
      });
    },
  });
  socket.once('close', () => {
    if (unused !== null) clearTimeout(unused);
    events.ended(connection);
  });

  const connection: Connection = {
    peer,
    get requests() {
      return requests;
    },
    get idle() {
      return !busy && !socket.destroyed && socket.readable && socket.writable;
    },
    wait: () => {
      // As undici does with those that it has used: what is only kept in reserve must not keep the process alive.
      socket.unref();
      unused = setTimeout(() => socket.destroy(), idleMs);
      unused.unref();
      events.becameIdle(connection);
    },
    destroy: () => {
      socket.destroy();
    },
    send: (request, signal) =>
      new Promise((resolve, reject) => {
        if (unused !== null) {
          clearTimeout(unused);
          unused = null;
          socket.ref();
        }
        const reused = requests > 0;
        requests += 1;
        busy = true;
        let intake: BodyIntake | null = null;
        let interimAnswers = 0;
        let settled = false;
        const { lostBeforeMs } = request;

        const settle = (): void => {
          settled = true;
          signal.removeEventListener('abort', aborted);
        };
        const failed = (error: unknown): void => {
          settle();
          socket.destroy();
          if (intake === null) {
            reject(
              request.explain(error, {
                headArrived: false,
                reused,
                bytes: 0,
                lateMs: Math.round(lostMs() - lostBeforeMs),
              }),
            );
          } else {
            const { bytes, lateMs } = intake.body;
            intake.fail(request.explain(error, { headArrived: true, reused, bytes, lateMs }));
          }
        };
        const aborted = (): void => {
          settle();
          socket.destroy();
          if (intake === null) reject(signal.reason);
          else intake.body.cancel(signal.reason);
        };
        if (signal.aborted) {
          aborted();
          return;
        }
        signal.addEventListener('abort', aborted, { once: true });

        client.dispatch(
          {
            method: request.method,
            path: request.path,
            headers: request.headers,
            body: request.body ?? null,
          },
          {
            onRequestStart: (controller) => {
              if (settled) controller.abort(new Error('ended before it was sent'));
            },
            onResponseStart: (controller, status, fields) => {
              if (status < 200) {
                interimAnswers += 1;
                if (interimAnswers > maxInterimAnswers) {
                  controller.abort(new MalformedAnswerError(`more than ${maxInterimAnswers} interim answers`));
                }
                return;
              }
              intake = createBodyIntake(
                {
                  pause: () => controller.pause(),
                  resume: () => controller.resume(),
                  stop: () => {
                    settle();
                    socket.destroy();
                  },
                },
                lostBeforeMs,
              );
              resolve({ status, headers: headersOf(fields), body: intake.body });
            },
            onResponseData: (_controller, chunk) => {
              intake?.push(chunk);
            },
            onResponseEnd: () => {
              settle();
              busy = false;
              intake?.end();
              events.becameIdle(connection);
            },
            onResponseError: (_controller, error) => {
              if (!settled) failed(error);
            },
          },
        );
      }),
  };
  return connection;
}
