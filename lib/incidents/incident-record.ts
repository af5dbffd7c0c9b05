import type { OperatorChanged, PullFailedOver, RegistryFailed } from '../events/pull-event.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import { ByteSteps } from './byte-steps.js';
import type { FollowedPull } from './followed-pull.js';
import {
  type AffectedOperation,
  type CircuitStep,
  type FailoverTally,
  type FailureTally,
  type Incident,
  operationOutcomes,
  type OperatorStep,
} from './incident.js';
import { KeptEnds } from './kept-ends.js';
import { KindCounts } from './kind-counts.js';

/** Two circuits that reopen once a minute for an hour have some 400 steps. */
const maxCircuitSteps = 400;
const maxOperatorActs = 200;
/** Sorts of failures and of failovers, not single ones. */
const maxTallies = 100;
/** The worst are kept, and all are counted. A page with more is read by nobody. */
const maxOperations = 200;
/** Engines that are named as witnesses of one failure. */
const maxEngines = 10;
const maxRegistries = 32;

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** The record of one incident while it is written. */
export class IncidentRecord {
  readonly id: string;
  readonly openedAtMs: number;
  readonly #fromMs: number;
  #untilMs: number;
  #closedAtMs: number | null = null;
  readonly #registries = new Set<string>();
  /** Circuits that are open or half-open now. */
  readonly #open = new Map<string, { readonly registry: string; readonly phase: RegistryPhase }>();
  readonly #circuits: KeptEnds<CircuitStep>;
  readonly #acts: KeptEnds<OperatorStep>;
  readonly #failures = new Map<string, Mutable<FailureTally>>();
  readonly #failovers = new Map<string, Mutable<FailoverTally>>();
  #leftOutFailures = 0;
  #leftOutFailovers = 0;
  /** Pulls that were touched and still run, by their id. */
  readonly #running = new Map<string, FollowedPull>();
  readonly #ended: AffectedOperation[] = [];
  #leftOutOperations = 0;
  readonly #counts: KindCounts;
  readonly #counted = new WeakSet<FollowedPull>();
  readonly #bytes: ByteSteps;
  #revision = 0;

  constructor(id: string, openedAtMs: number, fromMs: number, before?: Incident) {
    this.id = id;
    this.openedAtMs = openedAtMs;
    this.#fromMs = fromMs;
    this.#untilMs = before?.untilMs ?? openedAtMs;
    this.#circuits = new KeptEnds(maxCircuitSteps, before?.circuits, before?.leftOut.circuitSteps);
    this.#acts = new KeptEnds(maxOperatorActs, before?.operatorActs, before?.leftOut.operatorActs);
    this.#counts = new KindCounts(before?.totals);
    this.#bytes = new ByteSteps(fromMs, before?.throughput, before?.leftOut.bytes);
    if (before === undefined) return;
    for (const registry of before.registries) this.#registries.add(registry);
    for (const step of before.circuits) this.#noteState(step);
    for (const tally of before.failures) this.#failures.set(failureKey(tally), { ...tally });
    for (const tally of before.failovers) this.#failovers.set(failoverKey(tally), { ...tally });
    this.#leftOutFailures = before.leftOut.failures;
    this.#leftOutFailovers = before.leftOut.failovers;
    this.#ended.push(...before.operations);
    this.#leftOutOperations = before.leftOut.operations;
  }

  /** Goes on with what another process has recorded. */
  static continued(before: Incident): IncidentRecord {
    return new IncidentRecord(before.id, before.openedAtMs, before.fromMs, before);
  }

  get closedAtMs(): number | null {
    return this.#closedAtMs;
  }

  /** Circuits that are open or half-open, as far as was told. */
  get openCircuits(): readonly { readonly registry: string; readonly phase: RegistryPhase }[] {
    return [...this.#open.values()];
  }

  /** Grows with everything that is recorded. */
  get revision(): number {
    return this.#revision;
  }

  /** Whether pulls that it touched still run. */
  get isFollowing(): boolean {
    return this.#running.size > 0;
  }

  /** Whether a circuit of this registry is open or half-open. */
  isIll(registry: string): boolean {
    return this.openCircuits.some((each) => each.registry === registry);
  }

  circuit(step: CircuitStep): void {
    this.#circuits.push(step);
    this.#noteState(step);
    this.#sawTime(step.atMs);
  }

  operator({ atMs, change, control, message }: OperatorChanged): void {
    this.#acts.push({ atMs, change, control, message });
    this.#sawTime(atMs);
  }

  failed({ registry, phase, reason, engine, atMs }: RegistryFailed): void {
    this.#sawTime(atMs);
    const key = failureKey({ registry, phase, reason });
    const tally = this.#failures.get(key);
    if (tally !== undefined) {
      tally.count += 1;
      tally.lastAtMs = Math.max(tally.lastAtMs, atMs);
      if (!tally.engines.includes(engine) && tally.engines.length < maxEngines) {
        tally.engines = [...tally.engines, engine];
      }
    } else if (this.#failures.size < maxTallies) {
      const first = { registry, phase, reason, count: 1, firstAtMs: atMs, lastAtMs: atMs, engines: [engine] };
      this.#failures.set(key, first);
    } else {
      this.#leftOutFailures += 1;
    }
  }

  failedOver({ phase, from, to, reason, bytesKept, atMs }: PullFailedOver): void {
    this.#sawTime(atMs);
    const key = failoverKey({ phase, from, to, reason });
    const tally = this.#failovers.get(key);
    if (tally !== undefined) {
      tally.count += 1;
      tally.lastAtMs = Math.max(tally.lastAtMs, atMs);
      tally.bytesKept += bytesKept;
    } else if (this.#failovers.size < maxTallies) {
      this.#failovers.set(key, { phase, from, to, reason, count: 1, firstAtMs: atMs, lastAtMs: atMs, bytesKept });
    } else {
      this.#leftOutFailovers += 1;
    }
  }

  /** A pull runs while the incident is open. */
  ran(pull: FollowedPull): void {
    if (this.#counted.has(pull)) return;
    this.#counted.add(pull);
    this.#counts.ran(pull.kind);
  }

  /** The incident touches this pull. */
  affects(pull: FollowedPull, atMs: number): void {
    this.ran(pull);
    this.#running.set(pull.pullId, pull);
    this.#sawTime(atMs);
    if (pull.hasEnded) this.ended(pull, atMs);
  }

  /** A pull has ended. Returns whether it was touched. */
  ended(pull: FollowedPull, atMs: number): boolean {
    if (!this.#running.delete(pull.pullId)) return false;
    this.#sawTime(atMs);
    const operation = pull.describe(atMs);
    this.#counts.affected(operation);
    this.#ended.push(operation);
    if (this.#ended.length > maxOperations) this.#leaveOutLeastTelling();
    return true;
  }

  arrived(registry: string, bytes: number, atMs: number): void {
    this.#bytes.add(registry, bytes, atMs);
    this.#sawTime(atMs);
  }

  /** Every circuit is closed. Pulls that still run are followed to their end. */
  close(atMs: number): void {
    this.#closedAtMs = Math.max(atMs, this.openedAtMs);
    this.#sawTime(atMs);
  }

  snapshot(): Incident {
    const running = [...this.#running.values()];
    const shownRunning = running.slice(0, Math.max(0, maxOperations - this.#ended.length));
    const operations = [...this.#ended, ...shownRunning.map((pull) => pull.describe(this.#untilMs))];
    return {
      id: this.id,
      openedAtMs: this.openedAtMs,
      closedAtMs: this.#closedAtMs,
      fromMs: this.#fromMs,
      untilMs: this.#untilMs,
      registries: [...this.#registries],
      circuits: this.#circuits.items(),
      operatorActs: this.#acts.items(),
      failures: [...this.#failures.values()].map((tally) => ({ ...tally })),
      failovers: [...this.#failovers.values()].map((tally) => ({ ...tally })),
      operations: operations.toSorted((a, b) => a.startedAtMs - b.startedAtMs),
      totals: this.#counts.snapshot(running),
      throughput: this.#bytes.snapshot(),
      leftOut: {
        circuitSteps: this.#circuits.leftOut,
        operatorActs: this.#acts.leftOut,
        failures: this.#leftOutFailures,
        failovers: this.#leftOutFailovers,
        operations: this.#leftOutOperations + running.length - shownRunning.length,
        bytes: this.#bytes.leftOutBytes,
      },
    };
  }

  #noteState({ registry, phase, state }: CircuitStep): void {
    const key = `${phase} ${registry}`;
    if (state === 'closed') this.#open.delete(key);
    else this.#open.set(key, { registry, phase });
    if (this.#registries.size < maxRegistries) this.#registries.add(registry);
  }

  /** Those that went well, the oldest first, tell the least. */
  #leaveOutLeastTelling(): void {
    const worst = (operation: AffectedOperation): number => operationOutcomes.indexOf(operation.outcome);
    const least = Math.max(...this.#ended.map(worst));
    const at = this.#ended.findIndex((operation) => worst(operation) === least);
    this.#ended.splice(at, 1);
    this.#leftOutOperations += 1;
  }

  /** Something was recorded at that time. */
  #sawTime(atMs: number): void {
    this.#revision += 1;
    this.#untilMs = Math.max(this.#untilMs, atMs);
  }
}

function failureKey({ registry, phase, reason }: Pick<FailureTally, 'registry' | 'phase' | 'reason'>): string {
  return JSON.stringify([phase, registry, reason.cause, reason.code]);
}

function failoverKey({ phase, from, to, reason }: Pick<FailoverTally, 'phase' | 'from' | 'to' | 'reason'>): string {
  return JSON.stringify([phase, from, to, reason.cause, reason.code]);
}
