import { monotonicMs } from '../clock/time.js';
import { isPullExhaustedError } from '../errors/pull-exhausted-error.js';
import type { Candidate } from '../failover/candidate.js';
import type { HeartContext } from '../failover/context.js';
import type { ImageTree } from '../failover/image-tree.js';
import { findOtherPacking, resolveImage, type ResolvedImage, type ResolveRequest } from '../failover/resolve-image.js';
import { Sources } from '../failover/sources.js';
import { maxManifestBytes } from '../image/manifest.js';
import { overrideCredentials } from '../registries/override-credentials.js';
import { deliverBlobs, nameImage } from '../routes/layout.js';
import { registryPhases, type Phase } from '../vocabulary/phase.js';
import type { Callers } from './callers.js';
import { observeHeart } from './heart-observer.js';
import type { PullerParts } from './parts.js';
import type { PullPlan } from './plan.js';
import type { Progress } from './progress.js';
import type { PullJob } from './pull-job.js';
import type { Stopwatch } from './stopwatch.js';

/** What one walk through a plan needs. */
export interface AttemptRequest {
  readonly job: PullJob;
  readonly plan: PullPlan;
  readonly pullId: string;
  readonly callers: Callers;
  readonly progress: Progress;
  readonly stopwatch: Stopwatch;
  readonly signal: AbortSignal;
  /** Given the view as soon as there is one, for whoever has to tell of it after a failure. */
  readonly onSources: (sources: Sources) => void;
}

/** What a walk through a plan brought. */
export interface AttemptResult {
  readonly image: ResolvedImage;
  readonly sources: Sources;
}

/** Without a deadline, a Retry-After is waited for this long at most: a pull that takes hours helps nobody. */
const longestRetryAfterMs = 120_000;

/** Brings the image from the plan's registries into the engine, once. @throws what `resolveImage` and `deliverBlobs` do */
export async function attemptPull(parts: PullerParts, request: AttemptRequest): Promise<AttemptResult> {
  const { job, pullId, callers, progress, stopwatch, signal } = request;
  const { policy, engine } = job;
  const candidates = candidatesOf(parts, request);
  const observer = observeHeart(pullId, callers, progress, parts.circuits);
  const sources = new Sources(
    {
      metadata: inOrder(candidates, request.plan.order.metadata),
      layers: inOrder(candidates, request.plan.order.layers),
      limitedUntilMs: ({ registry }) =>
        registryPhases.flatMap((phase) => {
          const untilMs = parts.circuits.limitedUntilMs(registry, phase);
          return untilMs === null ? [] : [[phase, untilMs] as const];
        }),
    },
    observer,
  );
  request.onSources(sources);
  const context: HeartContext = {
    pullId,
    image: job.reference.canonical,
    signal,
    outliving: parts.ending,
    limits: policy.limits,
    // Asked for again and again: whoever joins later may have more time.
    get maxRetryAfterMs() {
      return Math.min(longestRetryAfterMs, callers.endsAtMs - monotonicMs());
    },
    sources,
    hedge: parts.hedge,
    observer,
  };
  const resolve: ResolveRequest = {
    reference: job.reference,
    platform: job.platform,
    policy,
    memory: parts.memory,
    local: (digest, maxBytes) => engine.readBlob(digest, Math.min(maxBytes, maxManifestBytes)),
  };
  const inPhase = async <T>(phase: Phase, work: () => Promise<T>): Promise<T> => {
    callers.tell({ type: 'phase:started', phase });
    const stop = stopwatch.start(phase);
    try {
      return await work();
    } finally {
      observer.stopWaiting();
      callers.tell({ type: 'phase:ended', phase, durationMs: stop() });
    }
  };
  const deliver = async (tree: ImageTree): Promise<void> => {
    progress.expect(tree);
    await inPhase('layers', () =>
      deliverBlobs({
        context,
        tree,
        layout: engine,
        shared: parts.shared,
        shareKey: shareKeyOf(job, request.plan),
        onBlob: ({ digest }) => {
          progress.isHere(digest);
        },
      }),
    );
    progress.tell('layers');
  };

  parts.running.add(sources);
  try {
    let image = await inPhase('metadata', () => resolveImage(context, resolve));
    try {
      await deliver(image.tree);
    } catch (error) {
      if (!isPullExhaustedError(error)) throw error;
      const { tree, resolvedBy } = image;
      const missing = { digest: tree.root.digest, config: tree.config.digest, resolvedBy };
      const other = await inPhase('metadata', () => findOtherPacking(context, resolve, missing));
      if (other === null) throw error;
      image = other;
      await deliver(image.tree);
    }
    const { canonical: name } = job.reference;
    const { stallMs } = policy.limits.extract;
    await inPhase('extract', () => nameImage({ layout: engine, name, tree: image.tree, stallMs }));
    return { image, sources };
  } finally {
    parts.running.delete(sources);
    recordGood(parts, sources);
  }
}

function candidatesOf(parts: PullerParts, { job, plan }: AttemptRequest): readonly Candidate[] {
  const places = overrideCredentials(plan.places, job.reference, job.credentials ?? undefined);
  const authority = places.find(({ registry }) => registry.resolves);
  return places.map((place) => ({
    registry: place.registry.prefix,
    repository: place.repository,
    resolves: place.registry.resolves,
    isAuthority: place === authority,
    client: parts.clientOf(place),
  }));
}

function inOrder(candidates: readonly Candidate[], registries: readonly string[]): readonly Candidate[] {
  return candidates.toSorted((a, b) => registries.indexOf(a.registry) - registries.indexOf(b.registry));
}

/** A blob is fetched once for pulls that would ask the same registries, as the same user, with the same patience. */
function shareKeyOf(job: PullJob, plan: PullPlan): string {
  const places = plan.places.map(({ registry, repository }) => [registry.prefix, repository]);
  return JSON.stringify([places, plan.order.layers, job.credentialIdentity, job.policy.limits]);
}

function recordGood(parts: PullerParts, sources: Sources): void {
  for (const candidate of sources.candidates) {
    for (const phase of registryPhases) {
      if (sources.isGood(candidate, phase)) parts.circuits.record(candidate.registry, phase, 'good');
    }
  }
}
