import type { PullEvent } from '../events/pull-event.js';
import type { Phase } from '../vocabulary/phase.js';
import type { Reason } from '../vocabulary/reason.js';
import type { AffectedOperation, OperationOutcome, SavedBy } from './incident.js';

/** An event of one pull. */
export type EventOfPull = Extract<PullEvent, { readonly pullId: string }>;

/** How a pull ended. */
type Ending = Pick<AffectedOperation, 'error'> & {
  readonly end: 'succeeded' | 'failed' | 'aborted';
  readonly atMs: number;
};

/** A registry whose failure touched it. Beyond that many a pull has asked everybody there is. */
const maxRegistries = 16;

/** An error that lists every attempt is as long as it likes. */
const maxMessageLength = 1_000;

const phaseOrder: readonly Phase[] = ['metadata', 'layers', 'extract'];

/** How much each way says of what saved a pull that several ways touched. */
const savingWays: readonly SavedBy[] = ['cache', 'failover', 'plan', 'retry'];

/** One pull, as far as an incident wants to know of it. */
export class FollowedPull {
  readonly pullId: string;
  readonly kind: string | null;
  readonly #scope: Pick<AffectedOperation, 'pullId' | 'kind' | 'id' | 'image' | 'engine' | 'startedAtMs'>;
  readonly #phases = new Set<Phase>();
  readonly #ways = new Set<SavedBy>();
  /** Whose failure touched it. */
  readonly #registries = new Set<string>();
  #reason: Reason | null = null;
  #parkedMs = 0;
  #parkedAtMs: number | null = null;
  #wasParked = false;
  #ending: Ending | null = null;

  /** @param event any of its events; the first one says when it began */
  constructor(event: EventOfPull) {
    const { pullId, operation, image, engine, atMs } = event;
    this.pullId = pullId;
    this.kind = operation?.kind ?? null;
    this.#scope = { pullId, kind: this.kind, id: operation?.id ?? null, image, engine, startedAtMs: atMs };
  }

  get isTouched(): boolean {
    return this.#phases.size > 0;
  }

  get hasEnded(): boolean {
    return this.#ending !== null;
  }

  wasTouchedBy(registry: string): boolean {
    return this.#registries.has(registry);
  }

  /** A registry's failure touches it in this phase. */
  touch(phase: Phase, way: SavedBy, registry: string | null, reason: Reason | null): void {
    this.#phases.add(phase);
    this.#ways.add(way);
    this.#reason ??= reason;
    if (registry !== null && this.#registries.size < maxRegistries) this.#registries.add(registry);
  }

  parked(phase: Phase, reason: Reason | null, atMs: number): void {
    this.touch(phase, 'retry', null, reason);
    this.#wasParked = true;
    this.#parkedAtMs ??= atMs;
  }

  resumed(atMs: number): void {
    if (this.#parkedAtMs === null) return;
    this.#parkedMs += Math.max(0, atMs - this.#parkedAtMs);
    this.#parkedAtMs = null;
  }

  ended(end: Ending['end'], atMs: number, error: AffectedOperation['error'] = null): void {
    this.resumed(atMs);
    this.#ending ??= { end, atMs, error: error === null ? null : { ...error, message: shorten(error.message) } };
  }

  get outcome(): OperationOutcome {
    switch (this.#ending?.end) {
      case undefined:
        return 'running';
      case 'failed':
        return 'failed';
      case 'aborted':
        return 'aborted';
      case 'succeeded':
        return this.#wasParked ? 'late' : 'saved';
    }
  }

  get phases(): readonly Phase[] {
    return phaseOrder.filter((phase) => this.#phases.has(phase));
  }

  /** As it is at that time. */
  describe(nowMs: number): AffectedOperation {
    const waitingMs = this.#parkedAtMs === null ? 0 : Math.max(0, nowMs - this.#parkedAtMs);
    const { startedAtMs, ...scope } = this.#scope;
    return {
      ...scope,
      phases: this.phases,
      outcome: this.outcome,
      savedBy: this.#ending?.end === 'succeeded' ? (savingWays.find((way) => this.#ways.has(way)) ?? null) : null,
      startedAtMs,
      endedAtMs: this.#ending?.atMs ?? null,
      lateMs: this.#parkedMs + waitingMs,
      reason: this.#reason,
      error: this.#ending?.error ?? null,
    };
  }
}

function shorten(text: string): string {
  if (text.length <= maxMessageLength) return text;
  // Half of a surrogate pair is no character.
  return `${text.slice(0, maxMessageLength).replace(/[\ud800-\udbff]$/, '')}…`;
}
