import type { PullEventDraft } from '../../../lib/events/event-bus.js';
import type { OperatorChanged, PlaceReason, PullEvent, SeenBy } from '../../../lib/events/pull-event.js';
import type { Control } from '../../../lib/vocabulary/control.js';
import type { Digest } from '../../../lib/vocabulary/digest.js';
import type { Phase, RegistryPhase } from '../../../lib/vocabulary/phase.js';
import type { Reason, Verdict } from '../../../lib/vocabulary/reason.js';
import type { PullReport, Served } from '../../../lib/vocabulary/report.js';

export const quay = 'quay.io/aptible';
export const hub = 'docker.io/aptible';

export const stalled: Reason = {
  cause: 'registry-storage',
  code: 'stalled',
  message: 'quay.io/aptible sent no byte of sha256:5f70 for 10 s',
};

/** The day of the outage. */
export function clock(time: string): number {
  return Date.parse(`2017-07-26T${time.length === 5 ? `${time}:00` : time}Z`);
}

/** What a pull of a story is. */
export interface StoryPull {
  readonly pullId: string;
  readonly image: string;
  readonly operation: { readonly kind: string; readonly id?: string } | null;
  readonly engine: string;
}

/** How a pull of a story is planned; both registries in the order of the list, unless it says otherwise. */
export interface StoryPlan {
  readonly order?: Partial<Record<RegistryPhase, readonly string[]>>;
  /** The place of the first registry of the list, in one phase. */
  readonly place?: Partial<Record<RegistryPhase, PlaceReason>>;
}

/** Tells the events of a host at times of its own. */
export class HostStory {
  nowMs: number = clock('18:00');
  readonly #observe: (event: PullEvent) => void;
  #seq = 0;
  #pulls = 0;

  constructor(observe: (event: PullEvent) => void) {
    this.#observe = observe;
  }

  at(time: string): this {
    this.nowMs = clock(time);
    return this;
  }

  pass(ms: number): this {
    this.nowMs += ms;
    return this;
  }

  tell(draft: PullEventDraft): void {
    this.#seq += 1;
    this.#observe(Object.freeze({ ...draft, seq: this.#seq, atMs: this.nowMs }));
  }

  opened(registry: string = quay, phase: RegistryPhase = 'layers', seenBy: SeenBy = 'pull'): void {
    const untilMs = this.nowMs + 30_000;
    this.tell({ type: 'circuit:opened', registry, phase, reason: stalled, seenBy, untilMs });
  }

  halfOpened(registry: string = quay, phase: RegistryPhase = 'layers'): void {
    this.tell({ type: 'circuit:half-opened', registry, phase, reason: stalled });
  }

  closed(registry: string = quay, phase: RegistryPhase = 'layers', seenBy: SeenBy = 'probe'): void {
    this.tell({ type: 'circuit:closed', registry, phase, reason: stalled, seenBy });
  }

  acted(change: OperatorChanged['change'], control: Partial<Control> = {}): void {
    this.tell({ type: 'operator:changed', change, control: { ...banOfQuay, ...control }, message: change });
  }

  started(kind: string | null = 'database', changes: Partial<StoryPull> & StoryPlan = {}): StoryPull {
    const { order, place, ...scope } = changes;
    this.#pulls += 1;
    const pull: StoryPull = {
      pullId: `pull-${this.#pulls}`,
      image: `${quay}/redis:3.0`,
      operation: kind === null ? null : { kind, id: `op-${870 + this.#pulls}` },
      engine: 'host-17',
      ...scope,
    };
    this.tell({ ...pull, type: 'pull:started' });
    this.planned(pull, { ...(order === undefined ? {} : { order }), ...(place === undefined ? {} : { place }) });
    this.phase(pull, 'metadata');
    return pull;
  }

  planned(pull: StoryPull, { order, place }: StoryPlan = {}): void {
    const list = [quay, hub];
    this.tell({
      ...pull,
      type: 'pull:planned',
      replicaSet: 'aptible',
      candidates: list.map((registry, at) => ({
        registry,
        repository: 'aptible/redis',
        metadata: (at === 0 ? place?.metadata : undefined) ?? 'listed',
        layers: (at === 0 ? place?.layers : undefined) ?? 'listed',
      })),
      order: { metadata: order?.metadata ?? list, layers: order?.layers ?? list },
      route: 'relay',
      routeReason: 'the engine reaches the relay',
    });
  }

  phase(pull: StoryPull, phase: Phase): void {
    this.tell({ ...pull, type: 'phase:started', phase });
  }

  joined(leader: StoryPull, kind: string): StoryPull {
    this.#pulls += 1;
    const pull = { ...leader, pullId: `pull-${this.#pulls}`, operation: { kind, id: `op-${870 + this.#pulls}` } };
    this.tell({ ...pull, type: 'pull:started' });
    this.tell({ ...pull, type: 'pull:joined', joinedPullId: leader.pullId });
    return pull;
  }

  failed(
    pull: StoryPull,
    { registry = quay, phase = 'layers', verdict = 'ill', reason = stalled }: Partial<StoryFailure> = {},
  ): void {
    const object = 'sha256:5f70';
    this.tell({
      ...pull,
      type: 'registry:failed',
      finding: null,
      registry,
      phase,
      reason,
      verdict,
      object,
      elapsedMs: 10_000,
      bytes: 0,
    });
  }

  failedOver(pull: StoryPull, phase: RegistryPhase = 'layers', bytesKept: number = 6_000_000): void {
    this.tell({ ...pull, type: 'pull:failed-over', phase, from: quay, to: hub, reason: stalled, bytesKept });
  }

  parked(pull: StoryPull): void {
    this.tell({ ...pull, type: 'pull:parked', phase: 'layers', reason: stalled, untilMs: null });
  }

  resumed(pull: StoryPull, parkedMs: number): void {
    this.tell({ ...pull, type: 'pull:resumed', parkedMs, why: 'circuit-closed' });
  }

  progressed(pull: StoryPull, bytes: Readonly<Record<string, number>>): void {
    const fetched = Object.values(bytes).reduce((sum, each) => sum + each, 0);
    this.tell({
      ...pull,
      type: 'pull:progressed',
      phase: 'layers',
      bytes: { total: 20_000_000, fetched, kept: 0, local: 0 },
      layers: [],
      served: servedOf(bytes),
    });
  }

  succeeded(pull: StoryPull, bytes: Readonly<Record<string, number>> = {}): void {
    this.tell({ ...pull, type: 'pull:succeeded', report: reportOf(pull, bytes) });
  }

  gaveUp(pull: StoryPull): void {
    const error = { code: 'ERR_PULL_EXHAUSTED', message: 'no registry could serve it', retryable: true } as const;
    this.tell({ ...pull, type: 'pull:failed', error, attempts: [] });
  }

  aborted(pull: StoryPull): void {
    this.tell({ ...pull, type: 'pull:aborted', attempts: [] });
  }

  /** A pull whose layers move to the replica, and which gets its image. */
  saved(kind: string | null = 'database', changes: Partial<StoryPull> = {}): StoryPull {
    const pull = this.started(kind, changes);
    this.phase(pull, 'layers');
    this.pass(10_000).failed(pull);
    this.failedOver(pull);
    this.pass(1_000).succeeded(pull, { [quay]: 6_000_000, [hub]: 14_000_000 });
    return pull;
  }
}

interface StoryFailure {
  readonly registry: string;
  readonly phase: Phase;
  readonly verdict: Verdict;
  readonly reason: Reason;
}

export const banOfQuay: Control = {
  id: 'control-1',
  act: 'ban',
  registry: quay,
  scope: { operationKind: 'database' },
  reason: 'layers time out',
  actor: 'ann',
  sinceMs: clock('18:36'),
  untilMs: null,
  inFlight: 'move',
  as: null,
  force: false,
  origin: 'call',
};

function servedOf(bytes: Readonly<Record<string, number>>): readonly Served[] {
  return Object.entries(bytes).map(([registry, each]) => ({
    registry,
    objects: 1,
    bytes: each,
    wastedBytes: 0,
    connections: 1,
    hedges: { won: 0, lost: 0 },
  }));
}

function reportOf(pull: StoryPull, bytes: Readonly<Record<string, number>>): PullReport {
  const digest = `sha256:${'5f'.repeat(32)}` as Digest;
  return {
    ...pull,
    digest,
    manifestDigest: digest,
    imageId: digest,
    reference: pull.image,
    platform: 'linux/amd64',
    source: 'registry',
    resolution: 'first-registry',
    replicaSet: 'aptible',
    route: 'relay',
    routeReason: 'the engine reaches the relay',
    cachedAgeMs: null,
    served: servedOf(bytes),
    failovers: [],
    attempts: [],
    bytes: { total: 20_000_000, fetched: 20_000_000, kept: 0, local: 0 },
    timings: { metadataMs: 100, layersMs: 11_000, extractMs: 500, totalMs: 11_600 },
  };
}
