import { epochMs, monotonicMs, toEpochMs } from '../clock/time.js';
import type { CircuitState } from './circuit-state.js';
import type { CircuitStamp, KeptCircuit } from './circuits-document.js';

/** A time that people and other processes read, on this process's own clock. */
export function fromEpochMs(atMs: number): number {
  return monotonicMs() + (atMs - epochMs());
}

/**
 * The state of a circuit as another process found it. One with other settings, or a clock that was ahead, keeps nobody
 * away for longer than this one would.
 */
export function stateOfKept(kept: KeptCircuit, nowMs: number, maxCoolDownMs: number): CircuitState {
  const sinceMs = Math.min(fromEpochMs(kept.sinceMs), nowMs);
  const { openings, reason } = kept;
  if (reason === null || kept.state === 'closed') return { kind: 'closed', sinceMs, openings };
  if (kept.state === 'half-open') return { kind: 'half-open', sinceMs, openings, reason, good: 0, firstGoodAtMs: null };
  const untilMs = Math.min(fromEpochMs(kept.untilMs ?? kept.sinceMs), nowMs + maxCoolDownMs);
  return { kind: 'open', sinceMs, openings, reason, untilMs };
}

/** When a circuit took over the state of another process. */
export function stampOfKept(kept: KeptCircuit, state: CircuitState): CircuitStamp {
  const untilMs = state.kind === 'open' ? Math.min(kept.untilMs ?? 0, toEpochMs(state.untilMs)) : null;
  return { state: kept.state, sinceMs: kept.sinceMs, untilMs };
}

/** When a circuit came into a state, after it had been in another one. */
export function stampOf(state: CircuitState, before: CircuitStamp): CircuitStamp {
  // The end of a cool-down is the same moment for all who know of it, whatever their clocks did meanwhile.
  const halfOpenedAtMs = state.kind === 'half-open' ? before.untilMs : null;
  return {
    state: state.kind,
    // A clock that was set back must not make what comes later the older change.
    sinceMs: Math.max(halfOpenedAtMs ?? toEpochMs(state.sinceMs), before.sinceMs + 1),
    untilMs: state.kind === 'open' ? toEpochMs(state.untilMs) : null,
  };
}
