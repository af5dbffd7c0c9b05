import { ImageRefusedError } from '../errors/image-refused-error.js';
import type { PlaceReason, PlannedCandidate } from '../events/pull-event.js';
import type { CircuitPlace, Circuits } from '../health/circuit.js';
import { noEffect, type ControlEffect } from '../health/control/control-effect.js';
import type { Controls } from '../health/control/controls.js';
import type { Reference } from '../image/reference.js';
import type { Place, ReplicaSets } from '../registries/replica-set.js';
import { registryPhases, type RegistryPhase } from '../vocabulary/phase.js';

/** Who will be asked for an image, in which order, and why. */
export interface PullPlan {
  /** The set's name, or null when the image is pulled from its own registry alone. */
  readonly replicaSet: string | null;
  /** In the order the host wants, those that an operator banned too. */
  readonly places: readonly Place[];
  readonly candidates: readonly PlannedCandidate[];
  /** The registries' prefixes, in the order in which each phase will ask them, without those that are banned. */
  readonly order: Readonly<Record<RegistryPhase, readonly string[]>>;
}

/** What a plan is made from. */
export interface PlanRequest {
  readonly reference: Reference;
  readonly replicaSets: ReplicaSets;
  readonly circuits: Pick<Circuits, 'place'>;
  readonly controls: Pick<Controls, 'effectsOn'>;
  /** `operation.kind` of those who want the image, null for one that has none: what an operator says of one holds for all. */
  readonly kinds: readonly (string | null)[];
  /** Prefixes that come first, as the kind of operation wants. */
  readonly first: readonly string[];
  /** The plan will be walked: a half-open circuit counts it among those that try it. */
  readonly trial: boolean;
}

/** Where one registry is in one phase. */
interface Standing {
  readonly registry: string;
  readonly reason: PlaceReason;
  /** The lowest comes first; Infinity where nobody prefers it. */
  readonly preferredRank: number;
}

/**
 * Plans a pull: what an operator bans or prefers, then circuits, the order of the kind, and the order of the list. An open
 * circuit sends a registry to the end in its phase, never out: it may be the only one that has the image. Nor does a ban
 * leave nobody, unless it is forced.
 *
 * @throws ImageRefusedError when the image is in no set and may not be pulled, or nobody may be contacted
 */
export function makePlan(request: PlanRequest): PullPlan {
  const { reference, replicaSets, first } = request;
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
  const standings = {
    metadata: standingsIn('metadata', request, places, replicaSet),
    layers: standingsIn('layers', request, places, replicaSet),
  };
  const order = { metadata: inOrder(standings.metadata), layers: inOrder(standings.layers) };
  for (const phase of registryPhases) {
    if (order[phase].length > 0) continue;
    throw new ImageRefusedError(
      reference.canonical,
      'ban',
      `${reference.canonical}: an operator has banned every registry that could serve it (${phase})`,
    );
  }
  const reasonOf = (phase: RegistryPhase, index: number): PlaceReason => standings[phase][index]?.reason ?? 'listed';
  const candidates = places.map((place, index) => ({
    registry: place.registry.prefix,
    repository: place.repository,
    metadata: reasonOf('metadata', index),
    layers: reasonOf('layers', index),
  }));
  return { replicaSet, places, candidates, order };
}

function standingsIn(
  phase: RegistryPhase,
  { circuits, controls, kinds, first, trial }: PlanRequest,
  places: readonly Place[],
  replicaSet: string | null,
): readonly Standing[] {
  const registries = places.map(({ registry }) => registry.prefix);
  const said = controls.effectsOn(registries, { replicaSet, operationKind: kinds, phase });
  return registries.map((registry): Standing => {
    const effect = said.get(registry) ?? noEffect;
    const place = (): PlaceReason => placeReason(circuits.place(registry, phase, { trial }), registry);
    return { registry, reason: acted(effect) ?? place(), preferredRank: effect.preferredRank };
  });

  function placeReason(place: CircuitPlace, registry: string): PlaceReason {
    switch (place) {
      case 'open':
        return 'circuit-open';
      case 'half-open':
        return 'circuit-half-open';
      case 'half-open-full':
        return 'circuit-half-open-full';
      case 'limited':
      case 'held-open':
      case 'held-closed':
        return place;
      case 'closed':
        if (replicaSet === null) return 'own-registry';
        return first.includes(registry) ? 'ordered-for-kind' : 'listed';
    }
  }
}

/** What an operator did about a registry; null when nothing. */
function acted({ banned, preferred, held }: ControlEffect): PlaceReason | null {
  if (banned !== null) return 'banned';
  if (preferred !== null) return 'preferred';
  if (held === null) return null;
  return held === 'open' ? 'held-open' : 'held-closed';
}

/** They are asked when nobody else is left. */
const lastReasons: ReadonlySet<PlaceReason> = new Set([
  'circuit-open',
  'circuit-half-open-full',
  'limited',
  'held-open',
]);

function inOrder(standings: readonly Standing[]): readonly string[] {
  // The difference of two infinities is no number.
  const rankOf = ({ preferredRank }: Standing): number => Math.min(preferredRank, Number.MAX_SAFE_INTEGER);
  const isLast = ({ reason }: Standing): number => (lastReasons.has(reason) ? 1 : 0);
  return standings
    .filter(({ reason }) => reason !== 'banned')
    .toSorted((a, b) => rankOf(a) - rankOf(b) || isLast(a) - isLast(b))
    .map(({ registry }) => registry);
}
