import { ImageNotCachedError } from '../errors/image-not-cached-error.js';
import { isPullExhaustedError, PullExhaustedError } from '../errors/pull-exhausted-error.js';
import type { Sources } from '../failover/sources.js';
import { formatPlatform } from '../image/platform.js';
import type { Reason } from '../vocabulary/reason.js';
import type { Attempt, Failover, PullReport, Served } from '../vocabulary/report.js';
import { attemptPull, recordingGood } from './attempt.js';
import type { AttemptResult } from './attempt-frame.js';
import { findCachedImage, type CachedImage } from './cached-image.js';
import { planRoute, reasonOfChange, untakenRoute, type PlannedRoute } from './engine-route.js';
import type { Callers } from './callers.js';
import { findTrust } from './engine-trust.js';
import { openHeart, type HeartRequest } from './heart-context.js';
import { observeHeart } from './heart-observer.js';
import { parkPull } from './park-pull.js';
import type { PullerParts } from './parts.js';
import type { PullPlan } from './plan.js';
import { planPull } from './pull-plan.js';
import { Progress } from './progress.js';
import type { PullJob } from './pull-job.js';
import { isDenied, proveAccess } from './prove-access.js';
import { reportCached, reportPulled, type PullAccount } from './report.js';
import { Stopwatch } from './stopwatch.js';
import type { PullScope } from './voice.js';

/** What a pull needs beside its job. */
export interface PullRun {
  /** The pull's own id, and what it was asked for with. */
  readonly scope: PullScope;
  readonly callers: Callers;
  readonly signal: AbortSignal;
}

/**
 * One pull from beginning to end: from the cache where the policy says so, else through its plan, parked and planned
 * again where the policy says so.
 */
export class Pull {
  readonly #parts: PullerParts;
  readonly #job: PullJob;
  readonly #run: PullRun;
  readonly #progress: Progress;
  readonly #stopwatch = new Stopwatch();
  /** The views of all walks through a plan, the last one being the current. */
  readonly #views: Sources[] = [];
  #replicaSet: string | null = null;
  #route: Pick<PlannedRoute, 'route' | 'reason'> | null = null;

  constructor(parts: PullerParts, job: PullJob, run: PullRun) {
    this.#parts = parts;
    this.#job = job;
    this.#run = run;
    this.#progress = new Progress((phase, bytes, layers) => {
      run.callers.tell({ type: 'pull:progressed', phase, bytes, layers, served: this.#served() });
    });
  }

  /** Every failed attempt so far, in the order tried. */
  get attempts(): readonly Attempt[] {
    return this.#views.flatMap((view) => view.attempts);
  }

  async run(): Promise<PullReport> {
    const { pullPolicy, whenExhausted } = this.#job.policy;
    // An image that may not be pulled may not be taken from the cache either: it came there in other days.
    this.#replicaSet = this.#parts.settings.replicaSets.place(this.#job.reference).replicaSet;
    if (pullPolicy !== 'always') {
      const report = await this.#fromCache(pullPolicy, null);
      if (report !== null) return report;
      if (pullPolicy === 'never') {
        const { engine, reference, platform } = this.#job;
        throw new ImageNotCachedError(reference.canonical, engine.id, formatPlatform(platform));
      }
    }
    for (let ended = (): void => {}; ;) {
      const outcome = await this.#try().finally(ended);
      if (!isPullExhaustedError(outcome)) return outcome;
      if (typeof whenExhausted !== 'object') throw outcome;
      ended = await parkPull(this.#parts.carPark, this.#run, outcome, whenExhausted.waitMs);
    }
  }

  /** Once through the plan, or from the cache where nobody can serve and that is wanted. */
  async #try(): Promise<PullReport | PullExhaustedError> {
    try {
      return await reportPulled(...(await this.#attempt()));
    } catch (error) {
      if (!isPullExhaustedError(error)) throw error;
      const exhausted = this.#withAllAttempts(error);
      const reason = exhausted.attempts.at(-1)?.reason ?? null;
      const report =
        this.#job.policy.whenExhausted === 'use-cached' ? await this.#fromCache('exhausted', reason) : null;
      return report ?? exhausted;
    }
  }

  async #attempt(): Promise<[PullAccount, AttemptResult]> {
    const { callers, signal } = this.#run;
    await this.#parts.refresh();
    const plan = this.#plan();
    const { replicaSet, candidates, order } = plan;
    const route = await planRoute(this.#job, this.#parts.relays, signal);
    this.#route = route;
    const request = await this.#walk(plan);
    callers.tell({
      type: 'pull:planned',
      replicaSet,
      candidates,
      order,
      route: route.route,
      routeReason: route.reason,
    });
    const result = await attemptPull(this.#parts, {
      ...request,
      route,
      progress: this.#progress,
      stopwatch: this.#stopwatch,
      onSources: (sources) => {
        this.#views.push(sources);
      },
      onRouteChanged: (change) => {
        this.#route = { route: change.to, reason: reasonOfChange(change) };
      },
    });
    return [this.#account(), result];
  }

  async #fromCache(why: 'if-not-present' | 'never' | 'exhausted', reason: Reason | null): Promise<PullReport | null> {
    const { engine, reference, platform, comeback } = this.#job;
    const { signal } = this.#run;
    const query = { engine, reference, platform, memory: this.#parts.memory, signal };
    const cached = await comeback.evenIfAway(signal, () => findCachedImage(query));
    if (cached === null || !(await this.#mayHave(cached, why))) return null;
    const { digest, ageMs } = cached;
    this.#run.callers.tell({ type: 'pull:served-from-cache', digest, why, reason, ageMs });
    return reportCached(this.#account(), cached);
  }

  /** A caller with credentials of its own does not get what it may not read, only because somebody else had it brought. */
  async #mayHave(cached: CachedImage, why: 'if-not-present' | 'never' | 'exhausted'): Promise<boolean> {
    if (this.#job.credentials === null || why === 'never') return true;
    const request = await this.#walk(this.#plan());
    if (why === 'exhausted') return !isDenied(request, this.attempts);
    const observer = observeHeart({ ...request, parts: this.#parts, progress: this.#progress, viaEngine: false });
    const context = openHeart(this.#parts, request, observer);
    this.#views.push(context.sources);
    await recordingGood(this.#parts, context.sources, { ...request, viaEngine: false }, () =>
      proveAccess(context, request, cached),
    );
    return true;
  }

  #plan(): PullPlan {
    return planPull(this.#parts, this.#job, this.#run.callers, { trial: true });
  }

  /** @throws the signal's own reason */
  async #walk(plan: PullPlan): Promise<HeartRequest> {
    const { scope, callers, signal } = this.#run;
    const trust = await findTrust(this.#job.engine, plan.places, this.#parts.addresses, signal);
    return { job: this.#job, plan, trust, pullId: scope.pullId, callers, signal };
  }

  #account(): PullAccount {
    return {
      scope: this.#run.scope,
      job: this.#job,
      replicaSet: this.#replicaSet,
      attempts: this.attempts,
      failovers: uniqueFailovers(this.#views.flatMap((view) => view.failovers)),
      served: this.#served(),
      bytes: this.#progress.bytes(),
      timings: this.#stopwatch.timings(),
      route: this.#route ?? untakenRoute(this.#job.engine),
    };
  }

  #served(): readonly Served[] {
    return sumServed(this.#views.flatMap((view) => view.served));
  }

  /** A pull that was parked has walked several times; its error tells of all of them. */
  #withAllAttempts(error: PullExhaustedError): PullExhaustedError {
    return new PullExhaustedError({
      image: error.image,
      phase: error.phase,
      attempts: this.attempts,
      ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    });
  }
}

function uniqueFailovers(failovers: readonly Failover[]): readonly Failover[] {
  return [
    ...new Map(failovers.map((failover) => [`${failover.phase} ${failover.from} ${failover.to}`, failover])).values(),
  ];
}

/** One entry per registry of those of several walks, which follow one another. */
function sumServed(served: readonly Served[]): readonly Served[] {
  const sums = new Map<string, Served>();
  for (const one of served) {
    const sum = sums.get(one.registry);
    sums.set(one.registry, sum === undefined ? one : addServed(sum, one));
  }
  return [...sums.values()];
}

function addServed(a: Served, b: Served): Served {
  return {
    registry: a.registry,
    objects: a.objects + b.objects,
    bytes: a.bytes + b.bytes,
    wastedBytes: a.wastedBytes + b.wastedBytes,
    connections: Math.max(a.connections, b.connections),
    hedges: { won: a.hedges.won + b.hedges.won, lost: a.hedges.lost + b.hedges.lost },
  };
}
