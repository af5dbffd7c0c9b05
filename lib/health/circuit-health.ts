import { toEpochMs } from '../clock/time.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { Reason } from '../vocabulary/reason.js';
import type { CircuitMachine, CircuitState } from './circuit-state.js';
import type { CircuitStamp } from './circuits-document.js';

/** Health of one registry in one phase, JSON-safe; times are milliseconds since the epoch. */
export interface CircuitHealth {
  /** The registry's prefix. */
  readonly registry: string;
  readonly phase: RegistryPhase;
  /** `held`: by an operator, whatever happens at the registry. */
  readonly state: 'closed' | 'open' | 'half-open' | 'held';
  /** Since when it is in this state. */
  readonly sinceMs: number;
  /** Why it opened; null while it is closed. */
  readonly reason: Reason | null;
  /** When the cool-down ends; null unless it is open. */
  readonly untilMs: number | null;
  /** Until when the registry wants to be left alone in this phase; null when it may be asked. */
  readonly limitedUntilMs: number | null;
  /** What a held circuit counts as; null unless it is held. */
  readonly heldAs: 'open' | 'closed' | null;
  /** When the next probe is due, if nothing changes; null when none is planned. A time that is over: it is being made. */
  readonly nextProbeAtMs: number | null;
}

/** What an operator said about a circuit. */
export interface Hold {
  readonly as: 'open' | 'closed';
  /** On the monotonic clock, as all times of a circuit. */
  readonly sinceMs: number;
}

/** Everything that can be shown of one circuit. */
export interface ShownCircuit {
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly machine: Pick<CircuitMachine, 'state'>;
  readonly limitedUntilMs: number;
  readonly hold: Hold | null;
  readonly nextProbeAtMs: number | null;
  readonly stamp: Pick<CircuitStamp, 'sinceMs'>;
}

export function healthOf(circuit: ShownCircuit, nowMs: number): CircuitHealth {
  const { registry, phase, limitedUntilMs, hold, nextProbeAtMs, stamp } = circuit;
  const { state } = circuit.machine;
  return {
    registry,
    phase,
    state: hold === null ? state.kind : 'held',
    // As it is kept, where it ever changed: the same each time it is looked at, and in each process.
    sinceMs: hold === null && stamp.sinceMs > 0 ? stamp.sinceMs : toEpochMs((hold ?? state).sinceMs),
    reason: reasonOf(state),
    untilMs: hold === null && state.kind === 'open' ? toEpochMs(state.untilMs) : null,
    limitedUntilMs: limitedUntilMs > nowMs ? toEpochMs(limitedUntilMs) : null,
    heldAs: hold === null ? null : hold.as,
    nextProbeAtMs: nextProbeAtMs === null ? null : toEpochMs(nextProbeAtMs),
  };
}

/** Why it opened; null while it is closed. */
export function reasonOf(state: CircuitState): Reason | null {
  switch (state.kind) {
    case 'closed':
      return null;
    case 'open':
    case 'half-open':
      return state.reason;
  }
}
