import { createLog } from '../log/log.js';
import { epochMs, monotonicMs } from '../clock/time.js';
import type { HeartObserver } from '../failover/context.js';
import type { Circuits } from '../health/circuit.js';
import type { Progress } from './progress.js';
import type { Voice } from './voice.js';

const log = createLog('pull');
const layersLog = createLog('layers');

/** Turns what the heart tells into events, books and health. */
export function observeHeart(voice: Voice, progress: Progress, circuits: Circuits): HeartObserver {
  const { pullId } = voice.scope;
  let waitingSinceMs = 0;
  return {
    attemptFailed: ({ atMs: _, ...attempt }) => {
      log(pullId, 'an attempt failed', {
        registry: attempt.registry,
        verdict: attempt.verdict,
        why: attempt.reason.message,
      });
      voice.tell({ type: 'registry:failed', ...attempt });
    },
    failedOver: (failover) => {
      layersLog(pullId, 'failed over', { ...failover, reason: failover.reason.message });
      voice.tell({ type: 'pull:failed-over', ...failover });
    },
    bytesArrived: (registry, phase, digest, bytes) => {
      progress.arrived(phase, registry, digest, bytes);
    },
    bytesKept: (digest, bytes) => {
      layersLog(pullId, 'goes on from what an earlier pull kept', { digest, bytes });
      progress.kept(digest, bytes);
    },
    ill: (registry, phase, reason) => {
      circuits.record(registry, phase, { ill: reason });
    },
    limited: (registry, phase, untilMs) => {
      circuits.limit(registry, phase, untilMs);
    },
    waiting: (phase, reason, waitMs) => {
      waitingSinceMs = monotonicMs();
      voice.tell({ type: 'pull:parked', phase, reason, untilMs: epochMs() + waitMs });
    },
    waited: () => {
      voice.tell({
        type: 'pull:resumed',
        parkedMs: Math.round(monotonicMs() - waitingSinceMs),
        why: 'retry-after-over',
      });
    },
    replicaMissing: (registry, phase, object) => {
      voice.tell({ type: 'replica:missing', registry, phase, object });
    },
    replicaDiverged: (registry, digest, expected, used) => {
      voice.tell({ type: 'replica:diverged', registry, digest, expected, used });
    },
    replicaRepackaged: (registry, digest, expected, config) => {
      voice.tell({ type: 'replica:repackaged', registry, digest, expected, config });
    },
    tagResolvedByReplica: (registry, digest, resolution) => {
      voice.tell({ type: 'tag:resolved-by-replica', registry, digest, resolution });
    },
  };
}
