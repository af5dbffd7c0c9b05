import { monotonicMs } from '../clock/time.js';
import { inOrder, type Candidate } from '../failover/candidate.js';
import type { HeartContext } from '../failover/context.js';
import { HedgeBytes } from '../failover/hedge-bytes.js';
import type { HeartObserver } from '../failover/heart-observer.js';
import { Sources } from '../failover/sources.js';
import { overrideCredentials, type PlaceWithCredentials } from '../registries/override-credentials.js';
import { registryPhases } from '../vocabulary/phase.js';
import type { Callers } from './callers.js';
import type { EngineTrust } from './engine-trust.js';
import type { PullerParts } from './parts.js';
import type { PullPlan } from './plan.js';
import type { PullJob } from './pull-job.js';

/** Whose walk through a plan it is. */
export interface HeartRequest {
  readonly job: PullJob;
  readonly plan: PullPlan;
  /** As the engine would reach the registries of the plan. */
  readonly trust: EngineTrust;
  readonly pullId: string;
  readonly callers: Callers;
  readonly signal: AbortSignal;
}

/** Without a deadline, a Retry-After is waited for this long at most: a pull that takes hours helps nobody. */
const longestRetryAfterMs = 120_000;

/** Opens the view of the registries that one walk through a plan has. */
export function openHeart(parts: PullerParts, request: HeartRequest, observer: HeartObserver): HeartContext {
  const { job, plan, pullId, callers, signal } = request;
  const candidates = candidatesOf(parts, request);
  const sources = new Sources(
    {
      candidates,
      metadata: inOrder(candidates, plan.order.metadata),
      layers: inOrder(candidates, plan.order.layers),
      limitedUntilMs: ({ registry }) =>
        registryPhases.flatMap((phase) => {
          const untilMs = parts.circuits.limitedUntilMs(registry, phase);
          return untilMs === null ? [] : [[phase, untilMs] as const];
        }),
    },
    observer,
  );
  return {
    pullId,
    image: job.reference.canonical,
    signal,
    outliving: parts.ending,
    limits: job.policy.limits,
    // Asked for again and again: whoever joins later may have more time.
    get maxRetryAfterMs() {
      return Math.min(longestRetryAfterMs, callers.endsAtMs - monotonicMs());
    },
    sources,
    hedge: parts.hedge,
    transfer: {
      settings: parts.settings.transfer,
      budget: parts.budget,
      ramps: parts.ramps,
      claim: { kind: callers.kinds[0] ?? '', pullId },
      hedgeBytes: new HedgeBytes(parts.settings.transfer.hedge.budget),
    },
    observer,
  };
}

/** The registries of a plan, each with the credentials that this pull may show it. */
export function placesOf({ job, plan }: Pick<HeartRequest, 'job' | 'plan'>): readonly PlaceWithCredentials[] {
  return overrideCredentials(plan.places, job.reference, job.credentials ?? undefined);
}

/**
 * A blob is fetched once for pulls that would ask the same registries in the same way, as the same user, with the same
 * patience, for operations of one kind: an operator can have another kind ask others at any time.
 */
export function shareKeyOf({ job, plan, trust, callers }: Omit<HeartRequest, 'pullId' | 'signal'>): string {
  const places = plan.places.map(({ registry, repository }) => [registry.prefix, repository]);
  const [kind = null] = callers.kinds;
  return JSON.stringify([places, trust, plan.order.layers, job.credentialIdentity, job.policy.limits, kind]);
}

function candidatesOf(parts: PullerParts, request: HeartRequest): readonly Candidate[] {
  const places = placesOf(request);
  const authority = places.find(({ registry }) => registry.resolves);
  return places.map((place) => ({
    registry: place.registry.prefix,
    repository: place.repository,
    resolves: place.registry.resolves,
    isAuthority: place === authority,
    client: parts.clients.of(place, request.trust),
  }));
}
