import type { PlaceReason, PullPlanned } from '../events/pull-event.js';
import { type Phase, registryPhases } from '../vocabulary/phase.js';

/**
 * In which phases a plan asks another registry first than the one that the host wants first, because that one is ill or
 * an operator has banned it; with that registry, else null.
 */
export function phasesPlannedAround({ candidates, order }: PullPlanned): Readonly<Record<Phase, string | null>> {
  const around: Record<Phase, string | null> = { metadata: null, layers: null, extract: null };
  const [wanted] = candidates;
  if (wanted === undefined) return around;
  for (const phase of registryPhases) {
    const isAskedFirst = order[phase][0] === wanted.registry;
    if (!isAskedFirst && isAvoided(wanted[phase])) around[phase] = wanted.registry;
  }
  return around;
}

function isAvoided(reason: PlaceReason): boolean {
  switch (reason) {
    case 'circuit-open':
    case 'circuit-half-open':
    case 'circuit-half-open-full':
    case 'limited':
    case 'banned':
    case 'held-open':
      return true;
    case 'listed':
    case 'ordered-for-kind':
    case 'own-registry':
    case 'preferred':
    case 'held-closed':
      return false;
  }
}
