import type { Callers } from '../puller/callers.js';
import type { ComposedParts } from '../puller/compose.js';
import { makePlan, type PullPlan } from '../puller/plan.js';
import type { PullJob } from '../puller/pull-job.js';
import { defaultReplicaSetName, parseReplicaSets } from '../registries/replica-set.js';
import type { CheckedStep } from './checked-script.js';

/** The plan that a real pull would have; where no registries are configured, those of the script are the replica set. */
export function planScript(
  script: readonly CheckedStep[],
  { settings, circuits, controls }: ComposedParts,
  { reference, policy }: PullJob,
  callers: Callers,
): Pick<PullPlan, 'replicaSet' | 'candidates' | 'order'> {
  const { replicaSets } = settings;
  const named = script.flatMap((step) => {
    if (step.kind === 'registry-fails') return [step.registry];
    return step.kind === 'fail-over' ? [step.from, step.to] : [];
  });
  const kinds = callers.scopes.map(({ operation }) => operation?.kind ?? null);
  const wanted = { reference, circuits, controls, kinds, first: policy.order, trial: true };
  if (replicaSets.sets.length > 0 || named.length === 0) return makePlan({ ...wanted, replicaSets });
  const registries = [...new Set(named)];
  const own = makePlan({ ...wanted, replicaSets: parseReplicaSets({ registries }) });
  if (own.replicaSet !== null) return own;
  // No registry of the script is a beginning of the image's name: nothing tells where the image is at them.
  return {
    replicaSet: defaultReplicaSetName,
    candidates: registries.map((registry) => ({
      registry,
      repository: reference.path,
      metadata: 'listed',
      layers: 'listed',
    })),
    order: { metadata: registries, layers: registries },
  };
}
