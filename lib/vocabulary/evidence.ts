/** Who sent an HTTP answer: the registry's own API, the storage it redirected to, or its token service. */
export type Answerer = 'registry' | 'storage' | 'token-service';

/** The limits whose expiry can be evidence; the names are those of the options. */
export type LimitName =
  | 'metadata.requestMs'
  | 'metadata.totalMs'
  | 'layers.firstByteMs'
  | 'layers.stallMs'
  | 'layers.minBytesPerSecond'
  | 'layers.totalMs'
  | 'extract.stallMs';

/**
 * What was seen when something failed, before anybody judges it.
 * The rooms below produce it, `health/` turns it into a cause and a verdict.
 */
export type Evidence =
  | {
      readonly kind: 'connection';
      readonly code: 'refused' | 'reset' | 'closed' | 'timed-out' | 'unreachable';
      /** The request went out on a kept-alive connection, which the peer may have closed meanwhile. */
      readonly reused: boolean;
      /** Body bytes of this exchange that had arrived. */
      readonly bytes: number;
      /** Milliseconds of this exchange in which this process was not reading: a blocked loop, a suspended process, a slow sink. */
      readonly lateMs: number;
      /**
       * Only where no connection came about. `all`: lately none did to anybody, so it is this host's network; `unproven`:
       * nobody else was reached since, so it may be. Absent: others are reached.
       */
      readonly scope?: 'all' | 'unproven';
    }
  | {
      readonly kind: 'dns';
      readonly code: 'not-found' | 'failed';
      /**
       * `all`: lately no name at all could be resolved, so it is the resolver; `unproven`: no other one was resolved
       * since, so it may be.
       */
      readonly scope: 'name' | 'all' | 'unproven';
    }
  | { readonly kind: 'tls'; readonly code: string }
  | { readonly kind: 'proxy'; readonly status?: number }
  | {
      readonly kind: 'limit';
      readonly limit: LimitName;
      /** The limit that expired: milliseconds, or bytes per second for the floor. */
      readonly value: number;
      /** Body bytes of this exchange that had arrived. */
      readonly bytes: number;
    }
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly from: Answerer;
      /** Error codes of the distribution specification found in the body, upper case. */
      readonly specCodes: readonly string[];
      readonly retryAfterMs?: number;
      /** The same credentials had succeeded at this registry before. */
      readonly acceptedBefore?: boolean;
      /** The request went out with a redirect target or token that had been used before. */
      readonly stale?: boolean;
    }
  | {
      readonly kind: 'content';
      readonly code:
        | 'digest-mismatch'
        | 'length-mismatch'
        | 'range-mismatch'
        | 'short-ranges'
        | 'content-encoded'
        | 'malformed-json'
        | 'malformed-response'
        | 'media-type-mismatch'
        | 'too-large';
      readonly from: Answerer;
    }
  | {
      readonly kind: 'redirect';
      readonly code: 'redirect-loop' | 'redirect-downgrade' | 'redirect-private' | 'redirect-malformed';
    }
  | {
      readonly kind: 'auth';
      readonly code:
        | 'challenge-malformed'
        | 'realm-untrusted'
        | 'token-malformed'
        | 'credentials-unavailable'
        | 'credentials-rejected';
    }
  | { readonly kind: 'image'; readonly code: 'platform-missing' | 'image-unsupported' }
  | { readonly kind: 'contact-forbidden' }
  | { readonly kind: 'disk'; readonly errno: string }
  | { readonly kind: 'aborted' }
  | { readonly kind: 'unexpected'; readonly name: string };
