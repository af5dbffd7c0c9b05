import type { ContentCoding, Fault, FaultPosition, FaultScope, StatusTrouble } from './fault.js';
import { parseFault } from './parse-fault.js';

/** A scope, which every fault takes. */
type Scope = FaultScope;
type Placed = FaultPosition & FaultScope;
type StatusDetails = Omit<StatusTrouble, 'kind' | 'status'> & FaultScope;

/** Faults of any exchange. */
export interface ExchangeFaults {
  /** The request is taken and never answered. */
  noHeaders(scope?: Scope): Fault;
  /** The connection is closed instead of an answer. */
  hangUp(scope?: Scope): Fault;
  /** The answer begins `ms` milliseconds later; adds to any other fault. */
  delay(options: { readonly ms: number } & Scope): Fault;
  /** Another status, with the error body of the specification unless `body` is given. */
  status(status: number, options?: StatusDetails): Fault;
}

/** Faults of a body under way. */
export interface CutFaults {
  /** The bytes stop there; the connection stays open. */
  stall(options?: Placed): Fault;
  /** The connection is reset there. */
  reset(options?: Placed): Fault;
  /** The connection is closed in order there, before the announced length. */
  truncate(options?: Placed): Fault;
  /** From there on at this rate. */
  drip(options: { readonly bytesPerSecond: number } & Placed): Fault;
}

/** Faults of what a registry says or sends, for blobs and manifests alike. */
export interface ContentFaults {
  /** The byte at `atByte` (default the first) or `atShare` is another one. */
  wrongBytes(options?: { readonly atByte?: number; readonly atShare?: number } & Scope): Fault;
  /** Longer by `byBytes` (default 1), or shorter when negative, and announced so. */
  wrongLength(options?: { readonly byBytes?: number } & Scope): Fault;
  /** Encoded although nobody asked for it. */
  contentEncoding(encoding: ContentCoding, scope?: Scope): Fault;
  /** Chunked, or with `framing: 'close'` ended by the end of the connection. */
  noContentLength(options?: { readonly framing?: 'chunked' | 'close' } & Scope): Fault;
  /** Redirects to itself for ever. */
  redirectLoop(scope?: Scope): Fault;
  /** Redirects to `url`, in which `{path}` stands for the path asked for. */
  redirectTo(url: string, options?: { readonly status?: number } & Scope): Fault;
  /** 404 with the code of the specification. */
  missing(scope?: Scope): Fault;
}

/** Faults of blobs: layers and configs. */
export interface LayersFaults extends ExchangeFaults, CutFaults, ContentFaults {
  /** Bytes that begin `byBytes` (default 1) later; `header: 'as-asked'` hides it in Content-Range. */
  wrongRange(options?: { readonly byBytes?: number; readonly header?: 'honest' | 'as-asked' } & Scope): Fault;
  /** 200 with the whole blob to a request for a range. */
  ignoreRange(scope?: Scope): Fault;
  /** At most so many bytes of the range asked for. */
  shortRange(options: { readonly maxBytes: number } & Scope): Fault;
  /** `Content-Range: bytes a-b/*`. */
  unknownTotal(scope?: Scope): Fault;
  /** Redirects to a signed URL that has expired; after its refusal the next one for the same blob is good. */
  expiredRedirect(scope?: Scope): Fault;
}

/** Faults of manifests, by tag and by digest. */
export interface MetadataFaults extends ExchangeFaults, CutFaults, ContentFaults {
  /** A manifest cut in the middle, with a length that fits. */
  malformedJson(scope?: Scope): Fault;
  /** Docker-Content-Digest of other content. */
  wrongDigestHeader(scope?: Scope): Fault;
  /** No Docker-Content-Digest. */
  noDigestHeader(scope?: Scope): Fault;
  /** A valid manifest, but not the one asked for. */
  wrongContent(scope?: Scope): Fault;
  /** 200 with a page of a captive portal. */
  html(scope?: Scope): Fault;
  /** A manifest of `bytes` bytes, default 5,000,000. */
  huge(options?: { readonly bytes?: number } & Scope): Fault;
}

/** Faults of the token service. */
export interface TokenFaults extends ExchangeFaults, CutFaults {
  /** An answer cut in the middle, with a length that fits. */
  malformedJson(scope?: Scope): Fault;
  /** JSON without a token. */
  noToken(scope?: Scope): Fault;
  /** 200 with a page of a captive portal. */
  html(scope?: Scope): Fault;
  /** An answer of `bytes` bytes, default 5,000,000. */
  huge(options?: { readonly bytes?: number } & Scope): Fault;
}

/** Faults before any request. */
export interface ConnectionFaults {
  /** Nobody listens on the port. */
  refuse(scope?: Pick<FaultScope, 'at' | 'between'>): Fault;
  /** Reset as soon as it is accepted. */
  reset(scope?: Scope): Fault;
  /** Accepted, then silence. */
  blackhole(scope?: Scope): Fault;
}

const exchangeFaults = (on: string): ExchangeFaults => ({
  noHeaders: (scope) => parseFault({ ...scope, on, kind: 'no-headers' }),
  hangUp: (scope) => parseFault({ ...scope, on, kind: 'hang-up' }),
  delay: (options) => parseFault({ ...options, on, kind: 'delay' }),
  status: (status, options) => parseFault({ ...options, on, kind: 'status', status }),
});

const cutFaults = (on: string): CutFaults => ({
  stall: (options) => parseFault({ ...options, on, kind: 'stall' }),
  reset: (options) => parseFault({ ...options, on, kind: 'reset' }),
  truncate: (options) => parseFault({ ...options, on, kind: 'truncate' }),
  drip: (options) => parseFault({ ...options, on, kind: 'drip' }),
});

const contentFaults = (on: string): ContentFaults => ({
  wrongBytes: (options) => parseFault({ ...options, on, kind: 'wrong-bytes' }),
  wrongLength: (options) => parseFault({ byBytes: 1, ...options, on, kind: 'wrong-length' }),
  contentEncoding: (encoding, scope) => parseFault({ ...scope, on, kind: 'content-encoding', encoding }),
  noContentLength: (options) => parseFault({ ...options, on, kind: 'no-content-length' }),
  redirectLoop: (scope) => parseFault({ ...scope, on, kind: 'redirect-loop' }),
  redirectTo: (url, options) => parseFault({ ...options, on, kind: 'redirect-to', url }),
  missing: (scope) => parseFault({ ...scope, on, kind: 'missing' }),
});

/**
 * Faults of blobs. Byte positions count from the start of the blob, so that a source that stalls after 6 MB
 * never delivers the byte at 6 MB, however often it is asked for it.
 */
export const layers: LayersFaults = {
  ...exchangeFaults('layers'),
  ...cutFaults('layers'),
  ...contentFaults('layers'),
  wrongRange: (options) => parseFault({ ...options, on: 'layers', kind: 'wrong-range' }),
  ignoreRange: (scope) => parseFault({ ...scope, on: 'layers', kind: 'ignore-range' }),
  shortRange: (options) => parseFault({ ...options, on: 'layers', kind: 'short-range' }),
  unknownTotal: (scope) => parseFault({ ...scope, on: 'layers', kind: 'unknown-total' }),
  expiredRedirect: (scope) => parseFault({ ...scope, on: 'layers', kind: 'expired-redirect' }),
};

/** Faults of manifests. */
export const metadata: MetadataFaults = {
  ...exchangeFaults('metadata'),
  ...cutFaults('metadata'),
  ...contentFaults('metadata'),
  malformedJson: (scope) => parseFault({ ...scope, on: 'metadata', kind: 'malformed-json' }),
  wrongDigestHeader: (scope) => parseFault({ ...scope, on: 'metadata', kind: 'wrong-digest-header' }),
  noDigestHeader: (scope) => parseFault({ ...scope, on: 'metadata', kind: 'no-digest-header' }),
  wrongContent: (scope) => parseFault({ ...scope, on: 'metadata', kind: 'wrong-content' }),
  html: (scope) => parseFault({ ...scope, on: 'metadata', kind: 'html' }),
  huge: (options) => parseFault({ ...options, on: 'metadata', kind: 'huge' }),
};

/** Faults of the token service. */
export const token: TokenFaults = {
  ...exchangeFaults('token'),
  ...cutFaults('token'),
  malformedJson: (scope) => parseFault({ ...scope, on: 'token', kind: 'malformed-json' }),
  noToken: (scope) => parseFault({ ...scope, on: 'token', kind: 'no-token' }),
  html: (scope) => parseFault({ ...scope, on: 'token', kind: 'html' }),
  huge: (options) => parseFault({ ...options, on: 'token', kind: 'huge' }),
};

/** Faults of `GET /v2/`. */
export const ping: ExchangeFaults = exchangeFaults('ping');

/** Faults before any request. */
export const connection: ConnectionFaults = {
  refuse: (scope) => parseFault({ ...scope, on: 'connection', kind: 'refuse' }),
  reset: (scope) => parseFault({ ...scope, on: 'connection', kind: 'reset' }),
  blackhole: (scope) => parseFault({ ...scope, on: 'connection', kind: 'blackhole' }),
};
