import { epochMs } from '../clock/time.js';
import type { ByteRange } from './byte-range.js';
import type { Fault } from './fault.js';

/** What a request was about. */
export type RequestKind = 'ping' | 'token' | 'manifest' | 'blob' | 'storage' | 'tags' | 'catalog' | 'unknown';

/** One request that arrived, as far as it has got. */
export interface LoggedRequest {
  readonly kind: RequestKind;
  readonly method: string;
  /** Without the query, which may hold a signature. */
  readonly path: string;
  readonly repository: string | null;
  /** The tag or digest asked for. */
  readonly object: string | null;
  /** The range asked for, or null for the whole. */
  readonly range: ByteRange | null;
  readonly authorization: 'none' | 'basic' | 'bearer' | 'other';
  /** Counts the connections of this server from 1. */
  readonly connection: number;
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  /** Null until the headers of an answer went out, and for ever when none did. */
  readonly status: number | null;
  /** Body bytes that left this process, those of an unfinished answer too. */
  readonly bytesSent: number;
  /** Milliseconds since the epoch, or null while it is open. */
  readonly endedAtMs: number | null;
  /** How it ended: answered whole, ended by the client (or by `close()`), or by a fault. */
  readonly outcome: 'open' | 'complete' | 'cut-by-client' | 'cut-by-fault';
  /** The kinds of the faults that struck it. */
  readonly faults: readonly Fault['kind'][];
}

/** A request of the log while it is being answered. */
export interface OpenRequest {
  readonly logged: LoggedRequest;
  sent(bytes: number): void;
  answered(status: number): void;
  struck(faults: readonly Fault[]): void;
  /** Only the first end counts. */
  ended(outcome: Exclude<LoggedRequest['outcome'], 'open'>): void;
}

export interface RequestLog {
  readonly requests: readonly LoggedRequest[];
  open(
    request: Omit<LoggedRequest, 'startedAtMs' | 'status' | 'bytesSent' | 'endedAtMs' | 'outcome' | 'faults'>,
  ): OpenRequest;
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

export function createRequestLog(): RequestLog {
  const requests: LoggedRequest[] = [];
  return {
    requests,
    open: (request) => {
      const logged: Writable<LoggedRequest> = {
        ...request,
        startedAtMs: epochMs(),
        status: null,
        bytesSent: 0,
        endedAtMs: null,
        outcome: 'open',
        faults: [],
      };
      requests.push(logged);
      return {
        logged,
        sent: (bytes) => {
          logged.bytesSent += bytes;
        },
        answered: (status) => {
          logged.status = status;
        },
        struck: (faults) => {
          logged.faults = faults.map(({ kind }) => kind);
        },
        ended: (outcome) => {
          if (logged.outcome !== 'open') return;
          logged.outcome = outcome;
          logged.endedAtMs = epochMs();
        },
      };
    },
  };
}
