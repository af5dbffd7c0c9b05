import type { Callers } from './callers.js';
import { makePlan, type PullPlan } from './plan.js';
import type { PullJob } from './pull-job.js';
import type { PullerParts } from './parts.js';

/**
 * The plan of a pull now, for all who want it.
 *
 * @param how.trial it will be walked: a half-open circuit counts it among those that try it
 * @throws ImageRefusedError
 */
export function planPull(
  { settings, circuits, controls }: Pick<PullerParts, 'settings' | 'circuits' | 'controls'>,
  { reference, policy }: PullJob,
  callers: Callers,
  how: { readonly trial: boolean },
): PullPlan {
  return makePlan({
    reference,
    replicaSets: settings.replicaSets,
    circuits,
    controls,
    kinds: callers.kinds,
    first: policy.order,
    ...how,
  });
}
