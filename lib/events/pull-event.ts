import type { Control } from '../vocabulary/control.js';
import type { Digest } from '../vocabulary/digest.js';
import type { ErrorCode } from '../vocabulary/error-code.js';
import type { Finding } from '../vocabulary/finding.js';
import type { Operation } from '../vocabulary/operation.js';
import type { Phase, RegistryPhase } from '../vocabulary/phase.js';
import type { Reason, Verdict } from '../vocabulary/reason.js';
import type { Attempt, PullBytes, PullReport, Resolution, Served } from '../vocabulary/report.js';
import type { Route } from '../vocabulary/route.js';

/** What every payload has. */
interface Stamp<Type extends string> {
  readonly type: Type;
  /** Grows by one with each event of one puller. */
  readonly seq: number;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

/** What every event of one pull has. */
interface OfPull<Type extends string> extends Stamp<Type> {
  readonly pullId: string;
  /** The canonical name of the image. */
  readonly image: string;
  readonly operation: Operation | null;
  /** The engine's id. */
  readonly engine: string;
}

/** Why a registry has its place in a plan. */
export type PlaceReason =
  | 'listed'
  | 'ordered-for-kind'
  | 'own-registry'
  | 'circuit-open'
  | 'circuit-half-open'
  /** Half-open, and enough others try it now. */
  | 'circuit-half-open-full'
  | 'limited'
  /** By an operator: first, not at all, or with a circuit that counts as open or closed. */
  | 'preferred'
  | 'banned'
  | 'held-open'
  | 'held-closed';

/** A registry in a plan. */
export interface PlannedCandidate {
  readonly registry: string;
  /** The repository at that registry, without the host. */
  readonly repository: string;
  /** Why it has its place when tokens and manifests are asked for. */
  readonly metadata: PlaceReason;
  /** Why it has its place when blobs are asked for. */
  readonly layers: PlaceReason;
}

/** The pull was accepted. Once per pull, before anything else of it. */
export type PullStarted = OfPull<'pull:started'>;
/**
 * The order of registries was decided. Once per pull that asks registries, again after it was parked; one that joins is
 * told at once.
 */
export interface PullPlanned extends OfPull<'pull:planned'> {
  readonly replicaSet: string | null;
  /** In the order the host wants, circuits apart; those that an operator banned too. */
  readonly candidates: readonly PlannedCandidate[];
  /** The registries in the order in which each phase will ask them. */
  readonly order: Readonly<Record<RegistryPhase, readonly string[]>>;
  readonly route: Route;
  /** Why this route, in words; where there is a better one, how to get it. */
  readonly routeReason: string;
}
/**
 * An identical pull into the same engine is under way; this one shares its work, and tells what happens to it from then
 * on in its own name. At most once per pull.
 */
export interface PullJoined extends OfPull<'pull:joined'> {
  readonly joinedPullId: string;
}
/** A phase began. Once per phase and pull, again when a parked pull goes on or another packing is looked for. */
export interface PhaseStarted extends OfPull<'phase:started'> {
  readonly phase: Phase;
}
/** A phase is over, well or not. Follows each `phase:started`. */
export interface PhaseEnded extends OfPull<'phase:ended'> {
  readonly phase: Phase;
  readonly durationMs: number;
}
/** How far one layer is. */
export interface LayerProgress {
  readonly digest: Digest;
  readonly totalBytes: number;
  readonly doneBytes: number;
  /** Who serves it now, or null when nobody does (it was local, or is queued). */
  readonly registry: string | null;
}
/** Bytes arrived. Throttled: at most one each 100 ms and pull, and a last one when all layers are there. */
export interface PullProgressed extends OfPull<'pull:progressed'> {
  readonly phase: Phase;
  readonly bytes: PullBytes;
  readonly layers: readonly LayerProgress[];
  /** What each registry contributed so far, as the report will say it. */
  readonly served: readonly Served[];
}
/** One attempt at one registry failed. Once per entry of the report's `attempts`; for one that joined, from then on. */
export interface RegistryFailed extends OfPull<'registry:failed'> {
  readonly registry: string;
  readonly phase: Phase;
  readonly reason: Reason;
  readonly verdict: Verdict;
  readonly object: string;
  readonly elapsedMs: number;
  readonly bytes: number;
  /** Whose fault it is as far as is known now, by who else fares how there; null unless the verdict is `ill`. */
  readonly finding: Finding | null;
}
/** Another registry took work over. Once per pull × phase × from → to, never per blob. */
export interface PullFailedOver extends OfPull<'pull:failed-over'> {
  readonly phase: Phase;
  readonly from: string;
  readonly to: string;
  readonly reason: Reason;
  /** Bytes of the object that need not be fetched again. */
  readonly bytesKept: number;
}
/** Bytes reach the engine in another way than was planned. At most once per pull and route that is left. */
export interface PullRouteChanged extends OfPull<'pull:route-changed'> {
  readonly from: Route;
  readonly to: Route;
  readonly reason: Reason;
}
/** The engine's own copy is used instead of a registry's. At most once per pull. */
export interface PullServedFromCache extends OfPull<'pull:served-from-cache'> {
  readonly digest: Digest;
  /** Why no registry was used: the policy, or the last failure. */
  readonly why: 'if-not-present' | 'never' | 'exhausted';
  readonly reason: Reason | null;
  /** Milliseconds since the engine got it, or since a registry confirmed it; null where neither is known. */
  readonly ageMs: number | null;
}
/** No registry can serve now; the pull waits (`whenExhausted: { waitMs }`, or a Retry-After). */
export interface PullParked extends OfPull<'pull:parked'> {
  readonly phase: Phase;
  readonly reason: Reason | null;
  /** Milliseconds since the epoch until which it waits at most, or null without a limit. */
  readonly untilMs: number | null;
}
/** A parked pull tries again. Follows `pull:parked`, unless the pull ended while it was parked. */
export interface PullResumed extends OfPull<'pull:resumed'> {
  readonly parkedMs: number;
  readonly why: 'circuit-closed' | 'cool-down-over' | 'retry-after-over' | 'operator' | 'interval' | 'promoted';
}
/** The image is in the engine. One of the three ends of a pull; nothing of this pull follows. */
export interface PullSucceeded extends OfPull<'pull:succeeded'> {
  readonly report: PullReport;
}
/** The pull failed. One of the three ends of a pull; nothing of this pull follows. */
export interface PullFailed extends OfPull<'pull:failed'> {
  readonly error: {
    readonly code: ErrorCode;
    readonly message: string;
    readonly retryable: boolean;
  };
  readonly attempts: readonly Attempt[];
}
/** The caller ended the pull. One of the three ends of a pull; nothing of this pull follows. */
export interface PullAborted extends OfPull<'pull:aborted'> {
  readonly attempts: readonly Attempt[];
}

/** A registry does not have an object that its replica set should have. Once per pull, registry and object. */
export interface ReplicaMissing extends OfPull<'replica:missing'> {
  readonly registry: string;
  readonly phase: RegistryPhase;
  /** The tag or digest. */
  readonly object: string;
}
/** A replica holds other content under the same tag. Once per pull and registry. */
export interface ReplicaDiverged extends OfPull<'replica:diverged'> {
  readonly registry: string;
  readonly digest: Digest;
  readonly expected: Digest;
  /** What was done about it. */
  readonly used: 'remembered' | 'replica' | 'none';
}
/** A replica holds the same image (the same config) in another packing, and it was used. Once per pull. */
export interface ReplicaRepackaged extends OfPull<'replica:repackaged'> {
  readonly registry: string;
  readonly digest: Digest;
  readonly expected: Digest;
  readonly config: Digest;
}
/** Not the first registry allowed to resolve, but a later one resolved the tag. At most once per pull. */
export interface TagResolvedByReplica extends OfPull<'tag:resolved-by-replica'> {
  readonly registry: string;
  readonly digest: Digest;
  readonly resolution: Resolution;
}
/** Credentials that had worked at this registry, and were read again, are rejected. Once per pull and registry. */
export interface RegistryCredentialsRejected extends OfPull<'registry:credentials-rejected'> {
  readonly registry: string;
  readonly reason: Reason;
}

/** What every event of one circuit has. */
interface OfCircuit<Type extends string> extends Stamp<Type> {
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly reason: Reason | null;
}
/**
 * Who found out.
 *
 * - `pull`: the pulls of this process
 * - `probe`: a probe of the phase that had failed
 * - `canary`: a look at a registry that was taken for well
 * - `state`: another process that shares `stateDir`, or this one before it was restarted
 */
export type SeenBy = 'pull' | 'probe' | 'canary' | 'state';

/** A registry is taken for ill in one phase: plans put it last until the cool-down is over. */
export interface CircuitOpened extends OfCircuit<'circuit:opened'> {
  readonly seenBy: SeenBy;
  /** Milliseconds since the epoch at which the cool-down ends. */
  readonly untilMs: number;
}
/** The cool-down is over: the next pull tries this registry in its place again. */
export type CircuitHalfOpened = OfCircuit<'circuit:half-opened'>;
/** The registry is well again in this phase. */
export interface CircuitClosed extends OfCircuit<'circuit:closed'> {
  readonly seenBy: SeenBy;
}

/** A registry was looked at without any pull: a probe of a phase that had failed, or a canary. Once per look. */
export interface RegistryProbed extends OfCircuit<'registry:probed'> {
  readonly seenBy: 'probe' | 'canary';
  /** `unknown`: it says nothing about the registry, for this host, its network or its credentials failed, or it was asked to wait. */
  readonly outcome: 'good' | 'ill' | 'unknown';
  /** Bytes of a layer that arrived. */
  readonly bytes: number;
}

/** An operator acted, or what was said in the control file changed. Holds for the pulls under way too. */
export interface OperatorChanged extends Stamp<'operator:changed'> {
  /** `refused`: the control file, or an entry of it, could not be used; without it, what it said before stays in force. */
  readonly change: 'set' | 'released' | 'expired' | 'refused';
  /** Null when the control file was refused. */
  readonly control: Control | null;
  /** One sentence for people. */
  readonly message: string;
}

/** A registry fails in a phase, and none did before: the record of an incident begins. */
export interface IncidentOpened extends Stamp<'incident:opened'> {
  readonly incidentId: string;
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly reason: Reason | null;
}
/** Every registry is well again: the record is complete. */
export interface IncidentClosed extends Stamp<'incident:closed'> {
  readonly incidentId: string;
  readonly durationMs: number;
}

/** Everything a puller says, as one union over `type`. */
export type PullEvent =
  | PullStarted
  | PullPlanned
  | PullJoined
  | PhaseStarted
  | PhaseEnded
  | PullProgressed
  | RegistryFailed
  | PullFailedOver
  | PullRouteChanged
  | PullServedFromCache
  | PullParked
  | PullResumed
  | PullSucceeded
  | PullFailed
  | PullAborted
  | ReplicaMissing
  | ReplicaDiverged
  | ReplicaRepackaged
  | TagResolvedByReplica
  | RegistryCredentialsRejected
  | CircuitOpened
  | CircuitHalfOpened
  | CircuitClosed
  | RegistryProbed
  | OperatorChanged
  | IncidentOpened
  | IncidentClosed;

/** The name of one event. */
export type PullEventType = PullEvent['type'];
/** The payload of one event type. */
export type PullEventOf<Type extends PullEventType> = Extract<PullEvent, { readonly type: Type }>;
