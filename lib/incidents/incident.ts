import type { OperatorChanged, SeenBy } from '../events/pull-event.js';
import type { ErrorCode } from '../vocabulary/error-code.js';
import type { Phase, RegistryPhase } from '../vocabulary/phase.js';
import type { Reason } from '../vocabulary/reason.js';

/**
 * What happened from the first circuit that opened until all were closed again, as one puller saw it. JSON-safe; times
 * are milliseconds since the epoch. Lists are bounded: `leftOut` says what they do not hold.
 */
export interface Incident {
  readonly id: string;
  /** When the first circuit opened. */
  readonly openedAtMs: number;
  /** When the last circuit closed; null while one is open or half-open. */
  readonly closedAtMs: number | null;
  /** The first thing that is recorded: what had failed before anybody knew, at most 20 minutes earlier. */
  readonly fromMs: number;
  /** The last thing that is recorded. */
  readonly untilMs: number;
  /** Prefixes of the registries whose circuits opened, in that order. */
  readonly registries: readonly string[];
  readonly circuits: readonly CircuitStep[];
  /** What operators did, and what was in force when it began. */
  readonly operatorActs: readonly OperatorStep[];
  /** Attempts that failed, those alike counted together. */
  readonly failures: readonly FailureTally[];
  /** Work that moved, moves alike counted together. */
  readonly failovers: readonly FailoverTally[];
  /** The operations it touched, in the order in which they began. */
  readonly operations: readonly AffectedOperation[];
  /** By kind of operation; counts also what `operations` leaves out. */
  readonly totals: readonly KindTotals[];
  readonly throughput: Throughput;
  readonly leftOut: LeftOut;
}

/** A circuit changed. */
export interface CircuitStep {
  readonly atMs: number;
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly state: 'open' | 'half-open' | 'closed';
  readonly reason: Reason | null;
  /** Null where it was not told: a cool-down ended. */
  readonly seenBy: SeenBy | null;
}

/** An operator acted. */
export interface OperatorStep {
  readonly atMs: number;
  readonly change: OperatorChanged['change'];
  readonly control: OperatorChanged['control'];
  readonly message: string;
}

/** Attempts that failed at one registry, in one phase, in one way. */
export interface FailureTally {
  readonly registry: string;
  readonly phase: Phase;
  /** Of the first of them. */
  readonly reason: Reason;
  readonly count: number;
  readonly firstAtMs: number;
  readonly lastAtMs: number;
  /** The engines whose pulls failed so: more than one are evidence against the registry. */
  readonly engines: readonly string[];
}

/** Work of one phase that moved from one registry to another for one reason. */
export interface FailoverTally {
  readonly phase: Phase;
  readonly from: string;
  readonly to: string;
  /** Of the first of them. */
  readonly reason: Reason;
  readonly count: number;
  readonly firstAtMs: number;
  readonly lastAtMs: number;
  /** Bytes that needed not be fetched again, of all of them. */
  readonly bytesKept: number;
}

/**
 * What became of an operation.
 *
 * - `saved`: it got its image without waiting, although a registry it would have used had failed
 * - `late`: it got its image after it was parked
 * - `failed`: it did not get it
 * - `aborted`: its caller ended it
 * - `running`: it is under way; of a record whose process was killed, nobody knows
 */
export type OperationOutcome = 'saved' | 'late' | 'failed' | 'aborted' | 'running';

/** All outcomes, the worst first. */
export const operationOutcomes: readonly OperationOutcome[] = ['failed', 'late', 'aborted', 'running', 'saved'];

/**
 * What saved an operation.
 *
 * - `failover`: work moved to another registry while it ran
 * - `plan`: the failing registry was not asked first, for its circuit or for an operator's act
 * - `cache`: the engine's own copy was used
 * - `retry`: the registry that had failed served it after all
 */
export type SavedBy = 'failover' | 'plan' | 'cache' | 'retry';

/** One pull that the incident touched. */
export interface AffectedOperation {
  readonly pullId: string;
  /** As the host gave it; null where it gave none. */
  readonly kind: string | null;
  readonly id: string | null;
  readonly image: string;
  readonly engine: string;
  /** In which phases it was touched. */
  readonly phases: readonly Phase[];
  readonly outcome: OperationOutcome;
  /** Null unless it got its image. */
  readonly savedBy: SavedBy | null;
  readonly startedAtMs: number;
  /** Null while it runs. */
  readonly endedAtMs: number | null;
  /** How long it was parked, up to now where it still is. */
  readonly lateMs: number;
  /** What went wrong for it first; null where it was planned around the failing registry. */
  readonly reason: Reason | null;
  /** What the host was told; null unless it failed. */
  readonly error: { readonly code: ErrorCode; readonly message: string } | null;
}

/** How many operations ended how. */
export type OutcomeCounts = Readonly<Record<OperationOutcome, number>>;

/** The operations of one kind. */
export interface KindTotals {
  /** Null: the host gave none. */
  readonly kind: string | null;
  /** Pulls that ran while the incident was open, touched or not. */
  readonly pulls: number;
  /** Of those the touched ones. */
  readonly affected: OutcomeCounts;
  /** The same by phase; one that was touched in two phases counts in both. */
  readonly byPhase: Readonly<Record<Phase, OutcomeCounts>>;
}

/** Bytes that arrived from each registry over time, as the pulls tell it. */
export interface Throughput {
  readonly fromMs: number;
  /** The length of one step. It doubles when an incident lasts longer than its steps do. */
  readonly stepMs: number;
  readonly registries: readonly RegistryThroughput[];
}

/** What arrived from one registry. */
export interface RegistryThroughput {
  readonly registry: string;
  /** In all steps together. */
  readonly bytes: number;
  /** In each step from `fromMs` on; steps without bytes at the end are left out. */
  readonly steps: readonly number[];
}

/** What a record of bounded size does not hold. */
export interface LeftOut {
  /** Of the middle of the timeline. */
  readonly circuitSteps: number;
  readonly operatorActs: number;
  /** Failures and failovers of further sorts. */
  readonly failures: number;
  readonly failovers: number;
  /** They are in the totals. */
  readonly operations: number;
  /** From further registries. */
  readonly bytes: number;
}
