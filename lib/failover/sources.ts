import { epochMs, monotonicMs } from '../clock/time.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { Reason, ReasonCode } from '../vocabulary/reason.js';
import type { Attempt, Failover, Served } from '../vocabulary/report.js';
import type { Candidate } from './candidate.js';
import { Contribution } from './contribution.js';
import type { FailedTry } from './failed-try.js';
import type { HeartObserver } from './heart-observer.js';
import { LinkSpeed } from './link-speed.js';
import { ObjectListeners, type SourcesListener } from './object-listeners.js';
import { Steering, type Course } from './steering.js';

/** A failover, and the object whose work moved. */
export type MovedWork = Failover & { readonly object: string };

/** The candidates of one pull, for each phase in the order to ask them: circuits differ by phase. */
export interface PlannedOrder extends Course {
  /** Those that are barred too; default: those of the metadata phase. */
  readonly candidates?: readonly Candidate[];
  /** Until when a candidate asked to be left alone before this pull, per phase, on the monotonic clock. */
  readonly limitedUntilMs?: (candidate: Candidate) => readonly (readonly [RegistryPhase, number])[];
}

/** What one pull knows of one candidate. */
interface SourceState {
  /** Grows with each failure over all candidates, so that the one that failed longest ago comes first; 0 = never. */
  readonly failedAt: Map<RegistryPhase, number>;
  readonly ill: Set<RegistryPhase>;
  /** Something failed that may have been its fault. */
  readonly doubtful: Set<RegistryPhase>;
  /** Overtaken while late: gets no new work until it delivers again. */
  readonly suspect: Set<RegistryPhase>;
  readonly missing: Set<string>;
  readonly limitedUntilMs: Map<RegistryPhase, number>;
  readonly delivered: Set<RegistryPhase>;
  readonly contribution: Contribution;
  /** Blobs whose turn it has now, whether it has been asked already or not. */
  turns: number;
  readonly speed: LinkSpeed;
  /** One that was overtaken is still waited for, to learn whether it is dead. */
  isWatched: boolean;
}

/** Beside one that brings ten times as much a registry is too slow, however much that is. */
const floorShare = 0.1;

/** What a registry that this host does not reach looks like, before it is known whose fault that is. */
const unreachedCodes: ReadonlySet<ReasonCode> = new Set([
  'connection-timed-out',
  'host-unreachable',
  'egress-down',
  'dns-failed',
  'dns-down',
]);

/** After those that never failed, before the first that did. */
const suspectRank = 0.5;

/**
 * What one pull has learnt of its candidates, shared by everything it fetches:
 * a registry that failed one blob goes last for all the others, so that no blob pays the same limit again.
 */
export class Sources {
  /** All of the plan, also those that an operator has barred. */
  readonly candidates: readonly Candidate[];
  /** Whom an operator lets this pull ask, and in which order: may change while it runs. */
  readonly steering: Steering;
  readonly #observer: HeartObserver;
  readonly #states = new Map<Candidate, SourceState>();
  readonly #attempts: Attempt[] = [];
  readonly #failovers = new Map<string, Failover>();
  readonly #demotionListeners = new Set<(candidate: Candidate, phase: RegistryPhase) => void>();
  readonly #suspicionListeners = new Set<() => void>();
  readonly #listeners = new ObjectListeners();
  #failures = 0;

  constructor(plan: PlannedOrder, observer: HeartObserver) {
    this.#observer = observer;
    this.candidates = plan.candidates ?? plan.metadata;
    this.steering = new Steering(this.candidates, plan);
    for (const candidate of this.candidates) {
      this.#states.set(candidate, {
        failedAt: new Map(),
        ill: new Set(),
        doubtful: new Set(),
        suspect: new Set(),
        missing: new Set(),
        limitedUntilMs: new Map(plan.limitedUntilMs?.(candidate) ?? []),
        delivered: new Set(),
        contribution: new Contribution(),
        turns: 0,
        speed: new LinkSpeed(),
        isWatched: false,
      });
    }
  }

  /** Those that may be asked, in the order to ask them now: as planned or steered, those that failed in this phase last. */
  order(phase: RegistryPhase): readonly Candidate[] {
    const rank = (candidate: Candidate): number => {
      const state = this.#state(candidate);
      return state.failedAt.get(phase) ?? (state.suspect.has(phase) ? suspectRank : 0);
    };
    // The sort is stable: the plan's order holds among those that never failed.
    return this.steering.order(phase).toSorted((a, b) => rank(a) - rank(b));
  }

  /** The same for a pull that draws from all at once: among those that are well, whoever has the least to do comes first. */
  orderSpread(): readonly Candidate[] {
    const isWell = (candidate: Candidate): boolean =>
      !this.hasFailed(candidate, 'layers') && !this.isSuspect(candidate, 'layers');
    const order = this.order('layers');
    const toDo = (candidate: Candidate): number => this.connectionsTo(candidate) + this.#state(candidate).turns;
    const well = order.filter(isWell).toSorted((a, b) => toDo(a) - toDo(b));
    return [...well, ...order.filter((candidate) => !isWell(candidate))];
  }

  hasFailed(candidate: Candidate, phase: RegistryPhase): boolean {
    return this.#state(candidate).failedAt.has(phase);
  }

  /** Until when this candidate wants to be left alone, on the monotonic clock; null when it may be asked. */
  limitedUntilMs(candidate: Candidate, phase: RegistryPhase): number | null {
    const untilMs = this.#state(candidate).limitedUntilMs.get(phase);
    return untilMs === undefined || untilMs <= monotonicMs() ? null : untilMs;
  }

  /** Writes a failed try down, with all that follows from its verdict. */
  failed(failure: FailedTry): void {
    this.#learn(failure, true);
    this.#tellFailed(failure);
  }

  #tellFailed(failure: FailedTry): void {
    for (const listener of this.#listeners.of(failure.object)) listener.failed(failure);
  }

  /** Writes down what a fetch that this pull shares with another one has seen; that one told of its registry's health. */
  failedElsewhere(failure: FailedTry): void {
    this.#learn(failure, false);
    this.#tellFailed(failure);
  }

  /** The candidate that is this registry; undefined where it is in another plan alone. */
  named(registry: string): Candidate | undefined {
    return this.candidates.find((candidate) => candidate.registry === registry);
  }

  /** Hears of everything that concerns one object, and of its connections now; returns what stops it. */
  listen(object: string, listener: SourcesListener): () => void {
    return this.#listeners.listen(object, listener);
  }

  #learn(failure: FailedTry, tellHealth: boolean): void {
    const { candidate, phase, object, judgement } = failure;
    const attempt: Attempt = {
      registry: candidate.registry,
      phase,
      reason: judgement.reason,
      verdict: judgement.verdict,
      object,
      elapsedMs: Math.round(monotonicMs() - failure.startedAtMs),
      bytes: failure.bytes,
      atMs: epochMs(),
    };
    this.#attempts.push(attempt);
    // Before what follows from it: a circuit that opens must find its reason told.
    this.#observer.attemptFailed(attempt);
    const state = this.#state(candidate);
    switch (judgement.verdict) {
      case 'ill':
        this.#sendLast(candidate, phase);
        this.#blame(candidate, phase, judgement.reason, tellHealth);
        break;
      case 'limited': {
        const untilMs = monotonicMs() + (judgement.retryAfterMs ?? 0);
        this.limit(candidate, phase, untilMs);
        if (tellHealth) this.#observer.limited(candidate.registry, phase, untilMs);
        break;
      }
      case 'next':
        if (judgement.reason.cause === 'not-replicated' && !state.missing.has(object)) {
          state.missing.add(object);
          this.#observer.replicaMissing(candidate.registry, phase, object);
        }
        // Nobody is blamed, but whoever was not reached once need not be waited for by the next object too.
        if (unreachedCodes.has(judgement.reason.code)) this.#sendLast(candidate, phase);
        break;
      case 'again':
      case 'stop':
        break;
    }
  }

  #blame(candidate: Candidate, phase: RegistryPhase, reason: Reason, tellHealth: boolean): void {
    const { ill } = this.#state(candidate);
    if (ill.has(phase)) return;
    ill.add(phase);
    if (tellHealth) this.#observer.ill(candidate.registry, phase, reason);
  }

  /** What failed may have been this candidate's fault: it is not blamed for it, and not good either. */
  doubt(candidate: Candidate, phase: RegistryPhase, reason: Reason): void {
    this.#state(candidate).doubtful.add(phase);
    this.#observer.doubted(candidate.registry, phase, reason);
  }

  /** It was this candidate's fault after all. */
  convict(candidate: Candidate, phase: RegistryPhase, reason: Reason): void {
    this.#blame(candidate, phase, reason, true);
  }

  /** Sends a candidate to the end for the rest of this pull without blaming it: `again` was of no use. */
  sendLast(candidate: Candidate, phase: RegistryPhase): void {
    this.#sendLast(candidate, phase);
  }

  /** A phase that another one depends on asked for time: this one has to be left alone as long. */
  limit(candidate: Candidate, phase: RegistryPhase, untilMs: number): void {
    const { limitedUntilMs } = this.#state(candidate);
    limitedUntilMs.set(phase, Math.max(untilMs, limitedUntilMs.get(phase) ?? 0));
  }

  /** A candidate was overtaken while it was late. */
  suspect(candidate: Candidate, phase: RegistryPhase): void {
    this.#state(candidate).suspect.add(phase);
    for (const listener of this.#suspicionListeners) listener();
  }

  /** Hears whenever a candidate becomes a suspect; returns what stops it. */
  onSuspicion(listener: () => void): () => void {
    this.#suspicionListeners.add(listener);
    return () => this.#suspicionListeners.delete(listener);
  }

  /** A candidate delivered: it is no suspect. */
  trust(candidate: Candidate, phase: RegistryPhase): void {
    this.#state(candidate).suspect.delete(phase);
  }

  isSuspect(candidate: Candidate, phase: RegistryPhase): boolean {
    return this.#state(candidate).suspect.has(phase);
  }

  /** Whether somebody else, who did not fail in this pull, could serve instead. */
  hasBetter(candidate: Candidate, phase: RegistryPhase): boolean {
    return this.#better(candidate, phase).length > 0;
  }

  #better(candidate: Candidate, phase: RegistryPhase): readonly Candidate[] {
    return this.steering.order(phase).filter((other) => other !== candidate && !this.hasFailed(other, phase));
  }

  /**
   * One request that was overtaken is left open to learn what became of it; returns what is called when that is known.
   * Null where another one of this candidate is being watched.
   */
  watchLate(candidate: Candidate): (() => void) | null {
    const state = this.#state(candidate);
    if (state.isWatched) return null;
    state.isWatched = true;
    return () => {
      state.isWatched = false;
    };
  }

  /** A connection for a blob is being used; returns what tells that it is not any more. */
  connected(candidate: Candidate, object: string): () => void {
    const ends = [this.#state(candidate).contribution.connected(), this.#listeners.connected(object, candidate)];
    return () => {
      for (const end of ends) end();
    };
  }

  /** What this candidate has sent, or begun to: digests and tags. */
  objectsOf(candidate: Candidate): ReadonlySet<string> {
    return this.#state(candidate).contribution.objects;
  }

  /** Connections to this candidate that fetch blobs of this pull now. */
  connectionsTo(candidate: Candidate): number {
    return this.#state(candidate).contribution.connections;
  }

  /** It is this candidate's turn to bring a blob, until what this returns is called: many may begin before any is asked. */
  turnOf(candidate: Candidate): () => void {
    const state = this.#state(candidate);
    state.turns += 1;
    return () => {
      state.turns -= 1;
    };
  }

  /** What connections to this candidate have shown. */
  speedOf(candidate: Candidate): LinkSpeed {
    return this.#state(candidate).speed;
  }

  /** What one connection to this candidate must bring, in bytes per second, beside those that bring more in this pull. */
  floorBeside(candidate: Candidate): number {
    const rates = this.#better(candidate, 'layers').map((other) => this.speedOf(other).bytesPerSecond);
    return Math.max(0, ...rates) * floorShare;
  }

  /** A candidate that was asked for an object as the second one, since another was late, was the faster one or not. */
  hedged(candidate: Candidate, object: string, how: 'won' | 'lost'): void {
    this.#state(candidate).contribution.hedged(how);
    for (const listener of this.#listeners.of(object)) listener.hedged(candidate, how);
  }

  /** Bytes of an object that this candidate delivered were of no use. */
  wasted(candidate: Candidate, object: string, bytes: number): void {
    this.#state(candidate).contribution.wasted(bytes);
    for (const listener of this.#listeners.of(object)) listener.wasted(candidate, bytes);
  }

  /** A circuit opened while this pull runs: what others have learnt holds here too. */
  demote(registry: string, phase: RegistryPhase): void {
    for (const candidate of this.candidates) {
      if (candidate.registry === registry && !this.hasFailed(candidate, phase)) this.#sendLast(candidate, phase);
    }
  }

  /** Hears of each candidate that goes to the end; returns what stops it. */
  onSentLast(listener: (candidate: Candidate, phase: RegistryPhase) => void): () => void {
    this.#demotionListeners.add(listener);
    return () => this.#demotionListeners.delete(listener);
  }

  /** Bytes of an object arrived from a candidate. */
  delivered(candidate: Candidate, phase: RegistryPhase, object: string, bytes: number): void {
    const state = this.#state(candidate);
    state.delivered.add(phase);
    state.contribution.delivered(object, bytes);
    for (const listener of this.#listeners.of(object)) listener.delivered(candidate, bytes);
  }

  /** Work moved from one candidate to another; told once per phase × from → to. */
  movedOver({ object, ...failover }: MovedWork): void {
    for (const listener of this.#listeners.of(object)) listener.movedOver(failover);
    const key = `${failover.phase} ${failover.from} ${failover.to}`;
    if (this.#failovers.has(key)) return;
    this.#failovers.set(key, failover);
    this.#observer.failedOver(failover);
  }

  /** Whether a candidate served in this phase, and was never ill or doubtful in it. */
  isGood(candidate: Candidate, phase: RegistryPhase): boolean {
    const { delivered, ill, doubtful, suspect } = this.#state(candidate);
    return delivered.has(phase) && !ill.has(phase) && !doubtful.has(phase) && !suspect.has(phase);
  }

  get attempts(): readonly Attempt[] {
    return this.#attempts;
  }

  get failovers(): readonly Failover[] {
    return [...this.#failovers.values()];
  }

  /** What each candidate contributed, those that sent anything or were asked as a hedge, in the plan's order. */
  get served(): readonly Served[] {
    return this.candidates.flatMap((candidate) => this.#state(candidate).contribution.served(candidate.registry) ?? []);
  }

  /** The last reason of a candidate's failures, for whoever takes its work over. */
  lastReason(candidate: Candidate): Reason | null {
    return this.#attempts.findLast((attempt) => attempt.registry === candidate.registry)?.reason ?? null;
  }

  #sendLast(candidate: Candidate, phase: RegistryPhase): void {
    this.#failures += 1;
    this.#state(candidate).failedAt.set(phase, this.#failures);
    for (const listener of this.#demotionListeners) listener(candidate, phase);
  }

  #state(candidate: Candidate): SourceState {
    const state = this.#states.get(candidate);
    if (state === undefined) throw new Error(`${candidate.registry} is not in this plan`);
    return state;
  }
}
