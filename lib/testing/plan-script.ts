import type { Callers } from '../puller/callers.js';
import type { ComposedParts } from '../puller/compose.js';
import type { PullPlan } from '../puller/plan.js';
import type { PullJob } from '../puller/pull-job.js';
import { planPull } from '../puller/pull-plan.js';
import { defaultReplicaSetName, parseReplicaSets } from '../registries/replica-set.js';
import type { CheckedStep } from './checked-script.js';

/** The plan that a real pull would have; where no registries are configured, those of the script are the replica set. */
export function planScript(
  script: readonly CheckedStep[],
  parts: ComposedParts,
  job: PullJob,
  callers: Callers,
): Pick<PullPlan, 'replicaSet' | 'candidates' | 'order'> {
  const { settings } = parts;
  const named = script.flatMap((step) => {
    if (step.kind === 'registry-fails') return [step.registry];
    return step.kind === 'fail-over' ? [step.from, step.to] : [];
  });
  if (settings.replicaSets.sets.length > 0 || named.length === 0) {
    return planPull(parts, job, callers, { trial: true });
  }
  const registries = [...new Set(named)];
  const replicaSets = parseReplicaSets({ registries });
  const own = planPull({ ...parts, settings: { ...settings, replicaSets } }, job, callers, { trial: true });
  if (own.replicaSet !== null) return own;
  // No registry of the script is a beginning of the image's name: nothing tells where the image is at them.
  return {
    replicaSet: defaultReplicaSetName,
    candidates: registries.map((registry) => ({
      registry,
      repository: job.reference.path,
      metadata: 'listed',
      layers: 'listed',
    })),
    order: { metadata: registries, layers: registries },
  };
}
