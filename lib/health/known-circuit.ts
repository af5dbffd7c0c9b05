import { monotonicMs, toEpochMs } from '../clock/time.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import { reasonOf, type Hold } from './circuit-health.js';
import { createCircuitMachine, type CircuitMachine, type CircuitState } from './circuit-state.js';
import type { CircuitStamp, KeptCircuit } from './circuits-document.js';
import type { HealthSettings } from './health-options.js';

/**
 * Where a plan puts a registry in one phase: in its place when `closed`, `half-open` or `held-closed`, else last.
 *
 * `half-open-full`: it is being tried, by a probe or by the pulls that were let through, and this one is not needed.
 */
export type CircuitPlace = 'closed' | 'open' | 'half-open' | 'half-open-full' | 'limited' | 'held-open' | 'held-closed';

/** One in so many plans tries a half-open registry: were it still ill, the other three would have been late for nothing. */
export const plansPerTrial = 4;

/** One circuit, and all that is known around it. */
export interface KnownCircuit {
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly machine: CircuitMachine;
  limitedUntilMs: number;
  hold: Hold | null;
  nextProbeAtMs: number | null;
  /** Plans that were made for pulls since it half-opened. */
  plans: number;
  /** The state that listeners know of. */
  told: CircuitState;
  /** When its state changed last, by the clock that all processes read. Kept: that clock may be set meanwhile. */
  stamp: CircuitStamp;
}

/** A circuit at which nothing has happened. */
export function newCircuit(
  registry: string,
  phase: RegistryPhase,
  settings: HealthSettings,
  random: () => number,
): KnownCircuit {
  const machine = createCircuitMachine(settings, monotonicMs(), random);
  return {
    registry,
    phase,
    machine,
    limitedUntilMs: -Infinity,
    hold: null,
    nextProbeAtMs: null,
    plans: 0,
    told: machine.state,
    stamp: { state: 'closed', sinceMs: 0, untilMs: null },
  };
}

/** @param trial whether a pull will be made by it, which uses up a turn of those that try a half-open registry */
export function placeOf(circuit: KnownCircuit, nowMs: number, trial: boolean): CircuitPlace {
  const { hold, limitedUntilMs, machine } = circuit;
  if (hold !== null) return `held-${hold.as}`;
  if (limitedUntilMs > nowMs) return 'limited';
  const { state } = machine;
  if (state.kind !== 'half-open') return state.kind;
  if (state.good === 0 && circuit.nextProbeAtMs !== null) return 'half-open-full';
  const tries = circuit.plans % plansPerTrial === 0;
  if (trial) circuit.plans += 1;
  return tries ? 'half-open' : 'half-open-full';
}

/** What of a circuit outlives its process. */
export function keptOf({ registry, phase, stamp, limitedUntilMs, machine }: KnownCircuit): KeptCircuit {
  return {
    registry,
    phase,
    ...stamp,
    reason: reasonOf(machine.state),
    limitedUntilMs: limitedUntilMs > monotonicMs() ? toEpochMs(limitedUntilMs) : null,
    openings: machine.state.openings,
  };
}
