import type { PlannedCandidate } from '../events/pull-event.js';
import type { Reference } from '../image/reference.js';
import { openOptionBag } from '../policy/option-bag.js';
import type { Digest } from '../vocabulary/digest.js';
import type { Operation } from '../vocabulary/operation.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import { refuseForbiddenHost } from './forbidden-host.js';
import { parseOperation } from './options.js';
import type { PullerParts } from './parts.js';
import { makePlan } from './plan.js';
import { resolvePolicy } from './pull-policy.js';

/** For whom a plan is to be explained. */
export interface ExplainOptions {
  readonly operation?: Operation;
}

/** The plan of a pull that is not made. */
export interface Explanation {
  /** The canonical name. */
  readonly image: string;
  readonly replicaSet: string | null;
  /** In the order the host wants, each with the reason of its place. */
  readonly candidates: readonly PlannedCandidate[];
  /** The registries in the order in which each phase would ask them. */
  readonly order: Readonly<Record<RegistryPhase, readonly string[]>>;
  /** What is remembered of the tag, or null. */
  readonly rememberedDigest: Digest | null;
}

/** Says what a pull of this image would do now. Asks nobody. @throws ImageRefusedError, InvalidOptionError */
export async function explainPlan(
  parts: PullerParts,
  reference: Reference,
  options: ExplainOptions,
): Promise<Explanation> {
  const bag = openOptionBag('', options, ['operation']);
  const operation = parseOperation(bag);
  refuseForbiddenHost(parts.settings.allowHost, reference);
  const kind = operation === null ? undefined : parts.settings.kinds.get(operation.kind);
  const { order: first } = resolvePolicy([parts.settings.policy, ...(kind === undefined ? [] : [kind])]);
  await parts.refresh();
  const plan = makePlan({
    reference,
    replicaSets: parts.settings.replicaSets,
    circuits: parts.circuits,
    controls: parts.controls,
    kinds: [operation?.kind ?? null],
    first,
    trial: false,
  });
  const remembered = reference.digest === null ? await parts.memory.recall(reference.canonical) : null;
  return {
    image: reference.canonical,
    replicaSet: plan.replicaSet,
    candidates: plan.candidates,
    order: plan.order,
    rememberedDigest: remembered?.digest ?? null,
  };
}
