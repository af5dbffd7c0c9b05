/** Why something failed: one closed union, used in events, attempts, circuits and errors. */
export type Cause =
  | 'registry-api'
  | 'registry-storage'
  | 'credentials'
  | 'rate-limit'
  | 'not-replicated'
  | 'content'
  | 'tls'
  | 'proxy'
  | 'dns'
  | 'network-egress'
  | 'host-disk'
  | 'host-process'
  | 'engine'
  | 'caller';

/**
 * What follows from a cause and its evidence.
 *
 * - `again`: the same registry once more; transient
 * - `next`: this registry cannot serve this object; it is not ill (404, denied)
 * - `ill`: the next registry, and it counts against this one's health in this phase
 * - `limited`: the next registry, and leave this one alone until Retry-After
 * - `stop`: no registry can help
 */
export type Verdict = 'again' | 'next' | 'ill' | 'limited' | 'stop';

/** What exactly was seen, in a word that stays the same over versions. */
export type ReasonCode =
  | 'connection-refused'
  | 'connection-reset'
  | 'connection-closed'
  | 'connection-timed-out'
  | 'host-unreachable'
  | 'dns-not-found'
  | 'dns-failed'
  | 'dns-down'
  | 'egress-down'
  | 'tls-failed'
  | 'proxy-failed'
  | 'request-late'
  | 'metadata-late'
  | 'first-byte-late'
  | 'stalled'
  | 'too-slow'
  | 'layers-late'
  | 'extract-late'
  | `http-${number}`
  | 'digest-mismatch'
  | 'length-mismatch'
  | 'range-mismatch'
  | 'short-ranges'
  | 'content-encoded'
  | 'malformed-json'
  | 'malformed-response'
  | 'media-type-mismatch'
  | 'too-large'
  | 'redirect-loop'
  | 'redirect-downgrade'
  | 'redirect-private'
  | 'redirect-malformed'
  | 'challenge-malformed'
  | 'realm-untrusted'
  | 'token-malformed'
  | 'credentials-unavailable'
  | 'credentials-rejected'
  | 'contact-forbidden'
  | 'disk-full'
  | 'disk-failed'
  | 'process-late'
  | 'platform-missing'
  | 'image-unsupported'
  | 'engine-failed'
  | 'engine-wedged'
  | 'engine-poisoned'
  | 'deadline'
  | 'aborted'
  | 'steered'
  | 'unexpected';

/** Why a registry, an attempt, a circuit or a pull is where it is. */
export interface Reason {
  readonly cause: Cause;
  readonly code: ReasonCode;
  /** One sentence for people; free of credentials, tokens and signed URLs. */
  readonly message: string;
}
