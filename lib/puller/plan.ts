import { ImageRefusedError } from '../errors/image-refused-error.js';
import type { PlaceReason, PlannedCandidate } from '../events/pull-event.js';
import type { Circuits } from '../health/circuit.js';
import type { Reference } from '../image/reference.js';
import type { Place, ReplicaSets } from '../registries/replica-set.js';
import type { RegistryPhase } from '../vocabulary/phase.js';

/** Who will be asked for an image, in which order, and why. */
export interface PullPlan {
  /** The set's name, or null when the image is pulled from its own registry alone. */
  readonly replicaSet: string | null;
  /** In the order the host wants. */
  readonly places: readonly Place[];
  readonly candidates: readonly PlannedCandidate[];
  /** The registries' prefixes, in the order in which each phase will ask them. */
  readonly order: Readonly<Record<RegistryPhase, readonly string[]>>;
}

/** What a plan is made from. */
export interface PlanRequest {
  readonly reference: Reference;
  readonly replicaSets: ReplicaSets;
  readonly circuits: Circuits;
  /** Prefixes that come first, as the kind of operation wants. */
  readonly first: readonly string[];
}

/**
 * Plans a pull: the order of the kind, then the order of the list. An open circuit sends a registry to the end in its
 * phase, never out: it may be the only one that has the image.
 *
 * @throws ImageRefusedError when the image is in no set and may not be pulled, or nobody may be contacted
 */
export function makePlan({ reference, replicaSets, circuits, first }: PlanRequest): PullPlan {
  const { replicaSet, places: listed } = replicaSets.place(reference);
  const rank = ({ registry }: Place): number => {
    const index = first.indexOf(registry.prefix);
    return index === -1 ? first.length : index;
  };
  const places = listed.filter(({ registry }) => registry.contact).toSorted((a, b) => rank(a) - rank(b));
  if (places.length === 0) {
    throw new ImageRefusedError(
      reference.canonical,
      'contact',
      `${reference.canonical}: no registry of its replica set may be contacted (contact: false)`,
    );
  }
  const reasonIn = (place: Place, phase: RegistryPhase): PlaceReason => {
    const { prefix } = place.registry;
    switch (circuits.place(prefix, phase)) {
      case 'open':
        return 'circuit-open';
      case 'limited':
        return 'limited';
      case 'half-open':
        return 'circuit-half-open';
      case 'closed':
        if (replicaSet === null) return 'own-registry';
        return first.includes(prefix) ? 'ordered-for-kind' : 'listed';
    }
  };
  const candidates = places.map((place) => ({
    registry: place.registry.prefix,
    repository: place.repository,
    metadata: reasonIn(place, 'metadata'),
    layers: reasonIn(place, 'layers'),
  }));
  return {
    replicaSet,
    places,
    candidates,
    order: { metadata: inOrder(candidates, 'metadata'), layers: inOrder(candidates, 'layers') },
  };
}

function inOrder(candidates: readonly PlannedCandidate[], phase: RegistryPhase): readonly string[] {
  const isLast = (candidate: PlannedCandidate): number =>
    candidate[phase] === 'circuit-open' || candidate[phase] === 'limited' ? 1 : 0;
  return candidates.toSorted((a, b) => isLast(a) - isLast(b)).map(({ registry }) => registry);
}
