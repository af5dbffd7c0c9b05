import type { Digest } from '../vocabulary/digest.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { Reason } from '../vocabulary/reason.js';
import type { Attempt, Failover, Resolution } from '../vocabulary/report.js';

/** What the heart tells the floors above, while it happens. */
export interface HeartObserver {
  attemptFailed(attempt: Attempt): void;
  /** Once per phase × from → to of one pull. */
  failedOver(failover: Failover): void;
  /** Bytes arrived from a registry; `digest` is null for a tag. */
  bytesArrived(registry: string, phase: RegistryPhase, digest: Digest | null, bytes: number): void;
  /** Bytes of an object are known to be with us already: kept by an earlier pull. */
  bytesKept(digest: Digest, bytes: number): void;
  /** A registry turned out ill; once per pull × registry × phase. */
  ill(registry: string, phase: RegistryPhase, reason: Reason): void;
  /** A registry failed, and it may as well have been the engine that asked it. */
  doubted(registry: string, phase: RegistryPhase, reason: Reason): void;
  /** A registry asks to be left alone; `untilMs` is on the monotonic clock. */
  limited(registry: string, phase: RegistryPhase, untilMs: number): void;
  /** Only registries that want to be left alone are left; the pull waits for the first of them. */
  waiting(phase: RegistryPhase, reason: Reason | null, waitMs: number): void;
  waited(): void;
  replicaMissing(registry: string, phase: RegistryPhase, object: string): void;
  replicaDiverged(registry: string, digest: Digest, expected: Digest, used: 'remembered' | 'replica' | 'none'): void;
  replicaRepackaged(registry: string, digest: Digest, expected: Digest, config: Digest): void;
  tagResolvedByReplica(registry: string, digest: Digest, resolution: Resolution): void;
}
