import { epochMs, monotonicMs } from '../clock/time.js';
import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { PullDeadlineError } from '../errors/pull-deadline-error.js';
import { PullExhaustedError } from '../errors/pull-exhausted-error.js';
import { formatPlatform } from '../image/platform.js';
import { abortable } from '../policy/deadline.js';
import type { ComposedParts } from '../puller/compose.js';
import { untakenRoute } from '../puller/engine-route.js';
import type { JoinableWork } from '../puller/join.js';
import { parkPull } from '../puller/park-pull.js';
import type { PullRun } from '../puller/pull.js';
import type { PullJob } from '../puller/pull-job.js';
import { Stopwatch } from '../puller/stopwatch.js';
import type { Phase, RegistryPhase } from '../vocabulary/phase.js';
import type { Attempt, Failover, PullBytes, PullReport } from '../vocabulary/report.js';
import type { CheckedStep, CheckedSuccess } from './checked-script.js';
import { planScript } from './plan-script.js';
import { type Contribution, digestFor, plausibleTotalBytes, sharesOf } from './plausible-image.js';
import { judgeMishap } from './registry-mishap.js';

/** Why a scripted pull has its route. */
const scriptedRoute = 'as scripted: no engine was asked';

/** Starts a pull that happens as a script says. */
export function playPullScript(
  script: readonly CheckedStep[],
  parts: ComposedParts,
  job: PullJob,
  run: PullRun,
): JoinableWork {
  const pull = new ScriptedPull(parts, job, run, script);
  return { done: pull.play(), attempts: () => pull.attempts };
}

/** One pull of a double. It asks nobody; plan, circuits, parking and the end are those of a real one. */
class ScriptedPull {
  readonly attempts: Attempt[] = [];
  readonly #parts: ComposedParts;
  readonly #job: PullJob;
  readonly #run: PullRun;
  readonly #script: readonly CheckedStep[];
  readonly #stopwatch = new Stopwatch();
  readonly #failovers: Failover[] = [];
  /** Registry × phase that were ill in this pull. */
  readonly #ill = new Set<string>();
  #replicaSet: string | null = null;
  #phase: { readonly name: Phase; readonly stop: () => number } | null = null;
  /** Who has the work of each phase. */
  #holders: Record<RegistryPhase, string> = { metadata: '', layers: '' };
  /** Other parked pulls wait for the end of this one's try. */
  #endTry: () => void = () => {};
  /** Bytes of layers that each holder brought before it lost the work. */
  #brought: Contribution[] = [];

  constructor(parts: ComposedParts, job: PullJob, run: PullRun, script: readonly CheckedStep[]) {
    this.#parts = parts;
    this.#job = job;
    this.#run = run;
    this.#script = script;
  }

  async play(): Promise<PullReport> {
    const { reference, policy } = this.#job;
    this.#replicaSet = this.#parts.settings.replicaSets.place(reference).replicaSet;
    // As in a real pull, something is awaited before anything happens: identical ones may join.
    await Promise.resolve();
    if (policy.pullPolicy === 'never' && this.#script.some((step) => 'because' in step)) {
      throw new InvalidOptionError('pullPolicy', "'never' asks no registry, but the script lets one fail");
    }
    try {
      for (const step of this.#script) {
        this.#run.signal.throwIfAborted();
        const report = await this.#play(step);
        if (report !== null) return report;
      }
    } finally {
      this.#endTry();
      this.#endPhase();
    }
    throw new Error('a script that was checked ends');
  }

  async #play(step: CheckedStep): Promise<PullReport | null> {
    switch (step.kind) {
      case 'registry-fails':
        this.#enter(step.phase);
        this.#fail(step.registry, step, 0);
        return null;
      case 'fail-over':
        this.#failOver(step);
        return null;
      case 'park':
        await this.#park();
        return null;
      case 'hold':
        step.door.reach();
        await abortable(step.door.opened, this.#run.signal);
        return null;
      case 'succeed':
        return this.#succeed(step);
      case 'succeed-from-cache':
        return this.#succeedFromCache();
      case 'exhaust':
        throw this.#exhausted(step.retryAfterMs);
      case 'exceed-deadline':
        throw this.#pastDeadline();
      case 'fail':
        if (this.#phase === null) this.#enter('metadata');
        throw step.error;
      case 'never-end':
        this.#enter('metadata');
        return abortable(new Promise<never>(() => {}), this.#run.signal);
    }
  }

  /** Goes on to a phase, through those before it. */
  #enter(wanted: Phase): void {
    const order: readonly Phase[] = ['metadata', 'layers', 'extract'];
    const from = this.#phase === null ? 0 : order.indexOf(this.#phase.name) + 1;
    for (const name of order.slice(from, order.indexOf(wanted) + 1)) {
      if (this.#phase === null) this.#plan();
      this.#endPhase();
      this.#run.callers.tell({ type: 'phase:started', phase: name });
      this.#phase = { name, stop: this.#stopwatch.start(name) };
    }
  }

  #endPhase(): void {
    if (this.#phase === null) return;
    const { name, stop } = this.#phase;
    this.#phase = null;
    this.#run.callers.tell({ type: 'phase:ended', phase: name, durationMs: stop() });
  }

  #plan(): void {
    const { replicaSet, candidates, order } = planScript(this.#script, this.#parts, this.#job, this.#run.callers);
    this.#replicaSet = replicaSet;
    this.#holders = { metadata: order.metadata[0] ?? '', layers: order.layers[0] ?? '' };
    this.#brought = [];
    this.#run.callers.tell({
      type: 'pull:planned',
      replicaSet,
      candidates,
      order,
      route: untakenRoute(this.#job.engine).route,
      routeReason: scriptedRoute,
    });
  }

  #fail(
    registry: string,
    { phase, because }: Pick<Extract<CheckedStep, { kind: 'registry-fails' }>, 'phase' | 'because'>,
    bytes: number,
  ): Attempt {
    const { circuits } = this.#parts;
    const object = phase === 'metadata' ? this.#metadataObject() : digestFor('layer', this.#job.reference.canonical);
    const { reason, verdict, retryAfterMs } = judgeMishap(because, { registry, phase, object, bytes });
    const attempt: Attempt = { registry, phase, reason, verdict, object, elapsedMs: 0, bytes, atMs: epochMs() };
    this.attempts.push(attempt);
    const key = `${phase} ${registry}`;
    if (verdict === 'ill' && !this.#ill.has(key)) {
      this.#ill.add(key);
      circuits.record(registry, phase, { ill: reason });
    }
    if (verdict === 'limited') circuits.limit(registry, phase, monotonicMs() + (retryAfterMs ?? 0));
    const { atMs: _, ...told } = attempt;
    this.#run.callers.tell({ type: 'registry:failed', ...told, finding: null });
    return attempt;
  }

  #failOver(step: Extract<CheckedStep, { kind: 'fail-over' }>): void {
    const { from, to, phase, bytesKept } = step;
    this.#enter(phase);
    const { reason } = this.#fail(from, step, bytesKept);
    const failover: Failover = { phase, from, to, reason, bytesKept };
    this.#failovers.push(failover);
    this.#run.callers.tell({ type: 'pull:failed-over', ...failover });
    this.#holders[phase] = to;
    if (phase === 'layers' && bytesKept > 0) this.#brought.push({ registry: from, bytes: bytesKept });
  }

  async #park(): Promise<void> {
    const { whenExhausted } = this.#job.policy;
    if (typeof whenExhausted !== 'object') {
      throw new InvalidOptionError(
        'whenExhausted',
        `${JSON.stringify(whenExhausted)} parks no pull, but the script does`,
      );
    }
    const exhausted = this.#exhausted(null);
    this.#endPhase();
    this.#endTry();
    this.#endTry = await parkPull(this.#parts.carPark, this.#run, exhausted, whenExhausted.waitMs);
    this.#ill.clear();
  }

  async #succeed(step: CheckedSuccess): Promise<PullReport> {
    if (this.#job.policy.pullPolicy === 'never') return this.#succeedFromCache();
    const { reference } = this.#job;
    this.#enter('layers');
    const { bytes } = step;
    const digest = step.digest ?? reference.digest ?? digestFor('manifest', reference.canonical);
    const layer = {
      digest: digestFor('layer', reference.canonical),
      totalBytes: bytes.total,
      doneBytes: bytes.total,
      registry: bytes.fetched === 0 ? null : this.#holders.layers,
    };
    const served = step.served ?? sharesOf(bytes.fetched, this.#holders, this.#brought);
    this.#run.callers.tell({ type: 'pull:progressed', phase: 'layers', bytes, layers: [layer], served });
    this.#enter('extract');
    this.#endPhase();
    const imageId = step.imageId ?? digestFor('config', reference.canonical);
    const resolution = step.resolution ?? this.#resolution();
    for (const phase of ['metadata', 'layers'] as const) {
      const registry = this.#holders[phase];
      if (!this.#ill.has(`${phase} ${registry}`)) this.#parts.circuits.record(registry, phase, 'good');
    }
    if (resolution === 'first-registry') {
      const config = digestFor('config', reference.canonical);
      await this.#parts.memory.remember(reference.canonical, {
        digest,
        configs: { [formatPlatform(this.#job.platform)]: config },
        registry: this.#holders.metadata,
      });
    }
    return {
      ...this.#common(bytes),
      digest,
      manifestDigest: step.manifestDigest ?? digest,
      imageId,
      source: 'registry',
      resolution,
      served,
    };
  }

  #resolution(): PullReport['resolution'] {
    if (this.#job.reference.digest !== null) return 'digest-given';
    return this.#failovers.some(({ phase }) => phase === 'metadata') ? 'replica-unverified' : 'first-registry';
  }

  #succeedFromCache(): PullReport {
    const { pullPolicy, whenExhausted } = this.#job.policy;
    const { canonical, digest: given } = this.#job.reference;
    const why = pullPolicy === 'always' ? ('exhausted' as const) : pullPolicy;
    if (why === 'exhausted' && (whenExhausted !== 'use-cached' || this.attempts.length === 0)) {
      throw new InvalidOptionError(
        'whenExhausted',
        `must be 'use-cached', and a registry must have failed, for the script to use the engine's own copy; or pullPolicy another than 'always'`,
      );
    }
    this.#endPhase();
    const digest = given ?? digestFor('manifest', canonical);
    const reason = this.attempts.at(-1)?.reason ?? null;
    this.#run.callers.tell({ type: 'pull:served-from-cache', digest, why, reason, ageMs: null });
    return {
      ...this.#common({ total: plausibleTotalBytes, fetched: 0, kept: 0, local: plausibleTotalBytes }),
      digest,
      manifestDigest: digest,
      imageId: digestFor('config', canonical),
      source: 'cache',
      resolution: given === null ? 'remembered' : 'digest-given',
      served: [],
    };
  }

  #common(
    bytes: PullBytes,
  ): Omit<PullReport, 'digest' | 'manifestDigest' | 'imageId' | 'source' | 'resolution' | 'served'> {
    return {
      ...this.#run.scope,
      reference: this.#job.reference.canonical,
      platform: formatPlatform(this.#job.platform),
      replicaSet: this.#replicaSet,
      route: untakenRoute(this.#job.engine).route,
      routeReason: scriptedRoute,
      cachedAgeMs: null,
      failovers: this.#failovers,
      attempts: this.attempts,
      bytes,
      timings: this.#stopwatch.timings(),
    };
  }

  #exhausted(retryAfterMs: number | null): PullExhaustedError {
    if (this.#phase === null) this.#enter('metadata');
    return new PullExhaustedError({
      image: this.#job.reference.canonical,
      phase: this.attempts.at(-1)?.phase ?? 'metadata',
      attempts: [...this.attempts],
      ...(retryAfterMs === null ? {} : { retryAfterMs }),
    });
  }

  #pastDeadline(): PullDeadlineError {
    if (this.#phase === null) this.#enter('metadata');
    const { deadlineMs } = this.#job.policy;
    // A test need not give a deadline to see what happens after one.
    const timeoutMs = Number.isFinite(deadlineMs) ? deadlineMs : 60_000;
    return new PullDeadlineError(this.#job.reference.canonical, 'deadlineMs', timeoutMs, [...this.attempts]);
  }

  #metadataObject(): string {
    const { digest, tag } = this.#job.reference;
    return digest ?? tag ?? 'latest';
  }
}
