import { randomBytes } from 'node:crypto';
import type {
  CircuitClosed,
  CircuitHalfOpened,
  CircuitOpened,
  OperatorChanged,
  PullEvent,
  PullFailedOver,
  PullPlanned,
  RegistryFailed,
} from '../events/pull-event.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { Reason } from '../vocabulary/reason.js';
import type { Served } from '../vocabulary/report.js';
import { type EventOfPull, FollowedPull } from './followed-pull.js';
import type { CircuitStep, Incident } from './incident.js';
import { IncidentRecord } from './incident-record.js';
import { phasesPlannedAround } from './planned-around.js';
import { RecentPast } from './recent-past.js';
import { SharedWorks } from './shared-works.js';

/** How a circuit is now, as `health()` tells it. */
export interface CircuitNow {
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly state: 'closed' | 'open' | 'half-open' | 'held';
}

/** Why an incident began. */
export interface IncidentStart {
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly reason: Reason | null;
}

/** Heard after the record changed. */
export interface WatchListeners {
  readonly opened: (record: IncidentRecord, start: IncidentStart) => void;
  readonly closed: (record: IncidentRecord) => void;
  /** An operation that an incident had touched ended after it. */
  readonly trailed: (record: IncidentRecord) => void;
}

/** Pulls that are followed at once; more than any host runs. */
const maxFollowed = 10_000;

/** Operators' acts in force that are remembered for the beginning of an incident. */
const maxStandingActs = 100;

/** Understands the events of a puller: which incident is open, and what belongs to it. */
export class IncidentWatch {
  readonly #on: WatchListeners;
  readonly #circuits: (() => readonly CircuitNow[]) | undefined;
  readonly #past = new RecentPast();
  readonly #works = new SharedWorks();
  readonly #pulls = new Map<string, FollowedPull>();
  /** What was planned last for each pull that runs. */
  readonly #plans = new Map<string, PullPlanned>();
  readonly #standingActs = new Map<string, OperatorChanged>();
  #current: IncidentRecord | null = null;
  /** When the incident that was taken over was written last; null once something was seen of its circuits. */
  #takenOverFromMs: number | null = null;
  /** Closed ones of which operations still run. */
  readonly #trailing = new Set<IncidentRecord>();

  constructor(on: WatchListeners, circuits?: () => readonly CircuitNow[]) {
    this.#on = on;
    this.#circuits = circuits;
  }

  /** The one that is open. */
  get current(): IncidentRecord | null {
    return this.#current;
  }

  /** Records that still change. */
  get written(): readonly IncidentRecord[] {
    return [...this.#trailing, ...(this.#current === null ? [] : [this.#current])];
  }

  /** Goes on with an incident that a process left open, and wrote last at that time. */
  takeOver(incident: Incident, savedAtMs: number): void {
    this.#current = IncidentRecord.continued(incident);
    this.#takenOverFromMs = savedAtMs;
  }

  take(event: PullEvent): void {
    switch (event.type) {
      case 'circuit:opened':
      case 'circuit:half-opened':
      case 'circuit:closed':
        this.#takeCircuit(event);
        return;
      case 'operator:changed':
        this.#takeAct(event);
        return;
      case 'registry:probed':
      case 'incident:opened':
      case 'incident:closed':
        return;
      default:
        this.#takeOfPull(event);
    }
  }

  #takeCircuit(event: CircuitOpened | CircuitHalfOpened | CircuitClosed): void {
    const { registry, phase, reason, atMs } = event;
    const step: CircuitStep = {
      atMs,
      registry,
      phase,
      state: stateAfter(event),
      reason,
      seenBy: event.type === 'circuit:half-opened' ? null : event.seenBy,
    };
    this.#takenOverFromMs = null;
    if (this.#current !== null) {
      const wasIll = this.#current.isIll(registry);
      this.#current.circuit(step);
      if (step.state === 'open' && !wasIll) this.#recallInto(this.#current, registry, atMs);
      this.#closeIfWell(atMs);
    } else if (step.state === 'open') {
      this.#open(step);
    }
  }

  #open(step: CircuitStep): void {
    const { registry, phase, reason, atMs } = step;
    const { record, beginning } = this.#begin(registry, atMs);
    this.#current = record;
    for (const { bytes, ...arrived } of beginning.bytes) record.arrived(arrived.registry, bytes, arrived.atMs);
    this.#tellBeginning(record, beginning, registry, atMs);
    record.circuit(step);
    for (const act of this.#standingActs.values()) record.operator(act);
    for (const pull of this.#pulls.values()) record.ran(pull);
    this.#on.opened(record, { registry, phase, reason });
  }

  #begin(registry: string, atMs: number) {
    const beginning = this.#past.before(registry, atMs);
    const times = [...beginning.failures, ...beginning.bytes].map((each) => each.atMs);
    return { record: new IncidentRecord(newId(atMs), atMs, Math.min(atMs, ...times)), beginning };
  }

  /** What had failed of another registry before its circuit opened too. */
  #recallInto(record: IncidentRecord, registry: string, atMs: number): void {
    this.#tellBeginning(record, this.#past.before(registry, atMs), registry, atMs);
  }

  #tellBeginning(
    record: IncidentRecord,
    { failures, pulls }: ReturnType<RecentPast['before']>,
    registry: string,
    atMs: number,
  ): void {
    for (const event of failures) {
      if (event.type === 'registry:failed') record.failed(event);
      else record.failedOver(event);
    }
    for (const pull of pulls) record.affects(pull, atMs);
    for (const pull of this.#pulls.values()) if (pull.wasTouchedBy(registry)) record.affects(pull, atMs);
  }

  #closeIfWell(atMs: number): void {
    const record = this.#current;
    if (record === null || record.openCircuits.length > 0) return;
    record.close(atMs);
    this.#current = null;
    if (record.isFollowing) this.#trailing.add(record);
    this.#on.closed(record);
  }

  /** Ends what no circuit holds open any more, although nobody said so. */
  #compareWithCircuits(atMs: number): void {
    const record = this.#current;
    const now = this.#circuits?.();
    if (record === null || now === undefined) return;
    // It ended while nobody looked: the last who did is nearer to the truth than now.
    const closedAtMs = this.#takenOverFromMs ?? atMs;
    this.#takenOverFromMs = null;
    for (const { registry, phase } of record.openCircuits) {
      const found = now.find((each) => each.registry === registry && each.phase === phase);
      // Of one that is held nobody knows how it is.
      if (found !== undefined && found.state !== 'closed') continue;
      record.circuit({ atMs: closedAtMs, registry, phase, state: 'closed', reason: null, seenBy: 'state' });
    }
    this.#closeIfWell(closedAtMs);
  }

  #takeAct(event: OperatorChanged): void {
    const { change, control } = event;
    if (control !== null) {
      if (change === 'set') {
        this.#standingActs.set(control.id, event);
        for (const oldest of this.#standingActs.keys()) {
          if (this.#standingActs.size <= maxStandingActs) break;
          this.#standingActs.delete(oldest);
        }
      } else {
        this.#standingActs.delete(control.id);
      }
    }
    this.#current?.operator(event);
  }

  #takeOfPull(event: EventOfPull): void {
    const pull = this.#follow(event);
    if (pull === null) return;
    switch (event.type) {
      case 'pull:joined':
        this.#works.joined(event.pullId, event.joinedPullId);
        break;
      case 'pull:planned':
        this.#compareWithCircuits(event.atMs);
        this.#plans.set(event.pullId, event);
        break;
      case 'phase:started': {
        const plan = this.#plans.get(event.pullId);
        const around = plan === undefined ? null : phasesPlannedAround(plan)[event.phase];
        if (around === null || this.#current === null) break;
        pull.touch(event.phase, 'plan', around, null);
        this.#current.affects(pull, event.atMs);
        break;
      }
      case 'pull:progressed':
        this.#takeServed(event, event.served);
        break;
      case 'registry:failed':
        this.#takeFailure(event, pull);
        break;
      case 'pull:failed-over':
        this.#takeFailover(event, pull);
        break;
      case 'pull:parked':
        pull.parked(event.phase, event.reason, event.atMs);
        this.#current?.affects(pull, event.atMs);
        break;
      case 'pull:resumed':
        pull.resumed(event.atMs);
        break;
      case 'pull:served-from-cache':
        if (event.why !== 'exhausted') break;
        pull.touch(pull.phases.at(-1) ?? 'metadata', 'cache', null, event.reason);
        this.#current?.affects(pull, event.atMs);
        break;
      case 'pull:succeeded':
        this.#takeServed(event, event.report.served);
        pull.ended('succeeded', event.atMs);
        this.#end(pull, event.atMs);
        break;
      case 'pull:failed':
        pull.ended('failed', event.atMs, { code: event.error.code, message: event.error.message });
        this.#end(pull, event.atMs);
        break;
      case 'pull:aborted':
        pull.ended('aborted', event.atMs);
        this.#end(pull, event.atMs);
        break;
      case 'pull:started':
      case 'phase:ended':
      case 'pull:route-changed':
      case 'replica:missing':
      case 'replica:diverged':
      case 'replica:repackaged':
      case 'tag:resolved-by-replica':
      case 'registry:credentials-rejected':
        break;
    }
  }

  /** Null when there are more pulls than are followed. */
  #follow(event: EventOfPull): FollowedPull | null {
    const known = this.#pulls.get(event.pullId);
    if (known !== undefined) return known;
    if (this.#pulls.size >= maxFollowed) return null;
    const pull = new FollowedPull(event);
    this.#pulls.set(event.pullId, pull);
    this.#works.began(event.pullId);
    this.#current?.ran(pull);
    return pull;
  }

  #takeFailure(event: RegistryFailed, pull: FollowedPull): void {
    const { phase, registry, reason, verdict, atMs } = event;
    const isIllness = verdict === 'ill' || verdict === 'limited';
    // A registry that lacks an object touches a pull only where the one that has it fails.
    const isOfIncident = isIllness || (verdict === 'next' && this.#current?.isIll(registry) === true);
    if (isOfIncident) {
      pull.touch(phase, 'retry', registry, reason);
      this.#current?.affects(pull, atMs);
    }
    if (!this.#works.counts(event)) return;
    if (this.#current === null) this.#past.failed(event);
    else this.#current.failed(event);
  }

  #takeFailover(event: PullFailedOver, pull: FollowedPull): void {
    pull.touch(event.phase, 'failover', event.from, event.reason);
    this.#current?.affects(pull, event.atMs);
    if (!this.#works.counts(event)) return;
    if (this.#current === null) this.#past.failed(event);
    else this.#current.failedOver(event);
  }

  #takeServed(event: EventOfPull, served: readonly Served[]): void {
    for (const { registry, bytes } of this.#works.arrived(event, served)) {
      if (this.#current === null) this.#past.arrived(registry, bytes, event.atMs);
      else this.#current.arrived(registry, bytes, event.atMs);
    }
  }

  #end(pull: FollowedPull, atMs: number): void {
    this.#pulls.delete(pull.pullId);
    this.#plans.delete(pull.pullId);
    this.#works.ended(pull.pullId);
    const records = this.written.filter((record) => record.ended(pull, atMs));
    // It may belong to an incident that begins soon.
    if (this.#current === null && records.length === 0 && pull.isTouched) this.#past.ended(pull, atMs);
    for (const record of records) {
      if (!this.#trailing.has(record)) continue;
      if (!record.isFollowing) this.#trailing.delete(record);
      this.#on.trailed(record);
    }
  }
}

function stateAfter(event: CircuitOpened | CircuitHalfOpened | CircuitClosed): CircuitStep['state'] {
  switch (event.type) {
    case 'circuit:opened':
      return 'open';
    case 'circuit:half-opened':
      return 'half-open';
    case 'circuit:closed':
      return 'closed';
  }
}

/** `20170726T183600Z-1f3a`: sorts by time, fits into a file name, and two processes do not choose the same. */
function newId(atMs: number): string {
  const time = new Date(atMs).toISOString().replace(/[-:]|\.\d+/g, '');
  return `${time}-${randomBytes(2).toString('hex')}`;
}
