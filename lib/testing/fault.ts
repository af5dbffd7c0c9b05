/** Which of matching requests a fault strikes. Without any of these: all of them. */
export interface FaultScope {
  /** Only requests of this repository, such as `aptible/redis`. */
  readonly repository?: string;
  /** Only requests of this digest or tag. */
  readonly object?: string;
  readonly method?: 'GET' | 'HEAD';
  /**
   * Who is at fault for a blob: the registry's own API or the storage it redirects to.
   * Default: the one that sends the bytes.
   */
  readonly at?: 'registry' | 'storage';
  /** Strikes that many matching requests, then no more. */
  readonly times?: number;
  /** Spares the first matching requests. */
  readonly after?: number;
  /** Strikes only from … to … milliseconds after the faults were set. */
  readonly between?: readonly [fromMs: number, toMs: number];
  /** Strikes this share of the matching requests, chosen by `seed` and by how often the same object was asked for. */
  readonly probability?: number;
  /** For `probability`; default 1. */
  readonly seed?: number;
}

/** A place in what is sent. Default: before its first byte. */
export interface FaultPosition {
  /** Bytes before it, counted from the start of the blob or manifest, whatever range is asked for. */
  readonly afterBytes?: number;
  /** The same as a share of the whole, 0 to 1. */
  readonly afterShare?: number;
  /** `'response'` counts `afterBytes` from the first byte of each response instead; default `'object'`. */
  readonly of?: 'object' | 'response';
}

/** What can go wrong with any exchange. */
export type ExchangeTrouble =
  /** The request is taken and never answered. */
  | { readonly kind: 'no-headers' }
  /** The connection is closed instead of an answer, as an idle one is by a server that is just tired of it. */
  | { readonly kind: 'hang-up' }
  /** The answer begins this much later. Adds to any other fault. */
  | { readonly kind: 'delay'; readonly ms: number }
  | StatusTrouble;

/** Another status than the right one, with an error body. */
export interface StatusTrouble {
  readonly kind: 'status';
  readonly status: number;
  /** The Retry-After header: seconds, or any text, such as an HTTP date. */
  readonly retryAfter?: number | string;
  /** Error code of the distribution specification; default: the one that goes with the status. */
  readonly code?: string;
  /** Sent instead of the error JSON. */
  readonly body?: string;
  /** With `body`; default `text/plain`. */
  readonly contentType?: string;
  /** A WWW-Authenticate header. */
  readonly challenge?: string;
}

/** What can go wrong while a body is sent. */
export type BodyTrouble =
  /** The bytes stop; the connection stays open. */
  | ({ readonly kind: 'stall' } & FaultPosition)
  /** The connection is reset (RST). */
  | ({ readonly kind: 'reset' } & FaultPosition)
  /** The connection is closed in order (FIN) before the announced length. */
  | ({ readonly kind: 'truncate' } & FaultPosition)
  /** From there on at this rate. */
  | ({ readonly kind: 'drip'; readonly bytesPerSecond: number } & FaultPosition)
  /** One byte is another one; the length is right. */
  | { readonly kind: 'wrong-bytes'; readonly atByte?: number; readonly atShare?: number }
  /** Longer (or, negative, shorter) by so many bytes, and announced so. */
  | { readonly kind: 'wrong-length'; readonly byBytes: number }
  /** Encoded although nobody asked for it. */
  | { readonly kind: 'content-encoding'; readonly encoding: ContentCoding }
  /** `'chunked'`, or `'close'`: the end of the connection ends the body. */
  | { readonly kind: 'no-content-length'; readonly framing?: 'chunked' | 'close' };

/** An encoding that a body can be sent in. */
export type ContentCoding = 'gzip' | 'deflate' | 'br';

/** Redirects that lead nowhere, or where the fault says. */
export type RedirectTrouble =
  | { readonly kind: 'redirect-loop' }
  /** To this URL; `{path}` in it stands for the path asked for. */
  | { readonly kind: 'redirect-to'; readonly url: string; readonly status?: number };

/** What can go wrong with blobs. */
export type LayersTrouble =
  | ExchangeTrouble
  | BodyTrouble
  | RedirectTrouble
  /** 404, although its manifest is here. */
  | { readonly kind: 'missing' }
  /** Another range than asked for; `header: 'as-asked'` says in Content-Range that it is the right one. */
  | { readonly kind: 'wrong-range'; readonly byBytes?: number; readonly header?: 'honest' | 'as-asked' }
  /** 200 with the whole blob to a request for a range. */
  | { readonly kind: 'ignore-range' }
  /** A range of at most so many bytes, whatever was asked for. */
  | { readonly kind: 'short-range'; readonly maxBytes: number }
  /** `Content-Range: bytes a-b/*`. */
  | { readonly kind: 'unknown-total' }
  /** The redirect leads to a signed URL that has expired; once it was refused, the next one is good. */
  | { readonly kind: 'expired-redirect' };

/** What can go wrong with manifests. */
export type MetadataTrouble =
  | ExchangeTrouble
  | BodyTrouble
  | RedirectTrouble
  /** 404. */
  | { readonly kind: 'missing' }
  | { readonly kind: 'malformed-json' }
  /** Docker-Content-Digest of other content. */
  | { readonly kind: 'wrong-digest-header' }
  /** No Docker-Content-Digest at all, as older registries answer. */
  | { readonly kind: 'no-digest-header' }
  /** A valid manifest, but not the one asked for. */
  | { readonly kind: 'wrong-content' }
  /** 200 with a page of a captive portal. */
  | { readonly kind: 'html' }
  /** A manifest of that many bytes; default 5,000,000. */
  | { readonly kind: 'huge'; readonly bytes?: number };

/** What can go wrong with token requests. */
export type TokenTrouble =
  | ExchangeTrouble
  | Extract<BodyTrouble, { readonly kind: 'stall' | 'reset' | 'truncate' | 'drip' }>
  | { readonly kind: 'malformed-json' }
  /** 200 with JSON that holds no token. */
  | { readonly kind: 'no-token' }
  | { readonly kind: 'html' }
  | { readonly kind: 'huge'; readonly bytes?: number };

/** What can go wrong with `GET /v2/`. */
export type PingTrouble = ExchangeTrouble;

/** What can go wrong before any request. */
export type ConnectionTrouble =
  /** Nobody listens on the port. Of the scope only `at` and `between` apply. */
  | { readonly kind: 'refuse' }
  /** Reset as soon as it is accepted. */
  | { readonly kind: 'reset' }
  /** Accepted, then silence: not even a TLS handshake is answered. */
  | { readonly kind: 'blackhole' };

/** What a fault is about. */
export type FaultGroup = 'layers' | 'metadata' | 'token' | 'ping' | 'connection';

/**
 * One thing that goes wrong at a registry double or fault proxy, and for which requests.
 * A plain value: it can be written as JSON and read back with `parseFault`.
 */
export type Fault =
  | ({ readonly on: 'layers' } & LayersTrouble & FaultScope)
  | ({ readonly on: 'metadata' } & MetadataTrouble & FaultScope)
  | ({ readonly on: 'token' } & TokenTrouble & FaultScope)
  | ({ readonly on: 'ping' } & PingTrouble & FaultScope)
  | ({ readonly on: 'connection' } & ConnectionTrouble & FaultScope);

/** A fault that strikes a request, not a connection. */
export type RequestFault = Exclude<Fault, { readonly on: 'connection' }>;
