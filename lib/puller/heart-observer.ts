import { createLog } from '../log/log.js';
import { epochMs, monotonicMs } from '../clock/time.js';
import type { HeartObserver } from '../failover/heart-observer.js';
import type { Attempt } from '../vocabulary/report.js';
import type { PullResumed } from '../events/pull-event.js';
import type { Callers } from './callers.js';
import type { PullerParts } from './parts.js';
import type { Progress } from './progress.js';

const log = createLog('pull');
const layersLog = createLog('layers');

/** What the heart tells, and the end of a phase, whose waits may have been broken off. */
export interface PullObserver extends HeartObserver {
  stopWaiting(): void;
}

/** Whose heart is observed. */
export interface Observed {
  readonly pullId: string;
  readonly callers: Callers;
  readonly progress: Progress;
  readonly parts: Pick<PullerParts, 'circuits' | 'attribution'>;
  /** The engine fetches by itself. */
  readonly viaEngine: boolean;
  /** Hears of each failure before anything follows from it. */
  readonly onFailed?: (attempt: Attempt) => void;
}

/** Turns what the heart tells into events, books and health. */
export function observeHeart({ pullId, callers, progress, parts, viaEngine, onFailed }: Observed): PullObserver {
  const { circuits, attribution } = parts;
  const engine = callers.scopes[0]?.engine ?? '';
  /** Several blobs wait at the same time; the pull is parked once. */
  let waitingSinceMs: number | null = null;
  const goOn = (why: PullResumed['why']): void => {
    if (waitingSinceMs === null) return;
    callers.tell({ type: 'pull:resumed', parkedMs: Math.round(monotonicMs() - waitingSinceMs), why });
    waitingSinceMs = null;
  };
  return {
    attemptFailed: (failed) => {
      const { atMs: _, ...attempt } = failed;
      onFailed?.(failed);
      log(pullId, 'an attempt failed', {
        registry: attempt.registry,
        verdict: attempt.verdict,
        why: attempt.reason.message,
      });
      const { registry, phase, reason, verdict } = attempt;
      const finding =
        verdict === 'ill' && phase !== 'extract'
          ? attribution.failed({ registry, phase, engine, viaEngine, reason, isCounted: true })
          : null;
      callers.tell({ type: 'registry:failed', ...attempt, finding });
    },
    failedOver: (failover) => {
      layersLog(pullId, 'failed over', { ...failover, reason: failover.reason.message });
      callers.tell({ type: 'pull:failed-over', ...failover });
    },
    bytesArrived: (registry, phase, digest, bytes) => {
      progress.arrived(phase, registry, digest, bytes);
    },
    bytesKept: (digest, bytes) => {
      layersLog(pullId, 'goes on from what an earlier pull kept', { digest, bytes });
      progress.kept(digest, bytes);
    },
    ill: (registry, phase, reason) => {
      // What one engine alone suffers where others fare well is no illness of the registry.
      if (viaEngine) {
        const { fault } = attribution.failed({ registry, phase, engine, viaEngine, reason, isCounted: true });
        if (fault === 'host') return;
      }
      circuits.record(registry, phase, { ill: reason });
    },
    doubted: (registry, phase, reason) => {
      attribution.failed({ registry, phase, engine, viaEngine, reason, isCounted: false });
    },
    limited: (registry, phase, untilMs) => {
      circuits.limit(registry, phase, untilMs);
    },
    waiting: (phase, reason, waitMs) => {
      if (waitingSinceMs !== null) return;
      waitingSinceMs = monotonicMs();
      callers.tell({ type: 'pull:parked', phase, reason, untilMs: epochMs() + waitMs });
    },
    waited: () => goOn('retry-after-over'),
    stopWaiting: () => goOn('interval'),
    replicaMissing: (registry, phase, object) => {
      callers.tell({ type: 'replica:missing', registry, phase, object });
    },
    replicaDiverged: (registry, digest, expected, used) => {
      callers.tell({ type: 'replica:diverged', registry, digest, expected, used });
    },
    replicaRepackaged: (registry, digest, expected, config) => {
      callers.tell({ type: 'replica:repackaged', registry, digest, expected, config });
    },
    tagResolvedByReplica: (registry, digest, resolution) => {
      callers.tell({ type: 'tag:resolved-by-replica', registry, digest, resolution });
    },
  };
}
