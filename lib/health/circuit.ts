import { monotonicMs, toEpochMs } from '../clock/time.js';
import { registryPhases, type RegistryPhase } from '../vocabulary/phase.js';
import type { Reason } from '../vocabulary/reason.js';
import { createCircuitMachine, type CircuitMachine, type CircuitState, type PullOutcome } from './circuit-state.js';
import type { HealthSettings } from './health-options.js';
import { maxRetryAfterMs } from './verdict.js';

/** Health of one registry in one phase, JSON-safe; times are milliseconds since the epoch. */
export interface CircuitHealth {
  /** The registry's prefix. */
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly state: 'closed' | 'open' | 'half-open';
  /** Since when it is in this state. */
  readonly sinceMs: number;
  /** Why it opened; null while it is closed. */
  readonly reason: Reason | null;
  /** When the cool-down ends; null unless it is open. */
  readonly untilMs: number | null;
  /** Until when the registry wants to be left alone in this phase; null when it may be asked. */
  readonly limitedUntilMs: number | null;
}

/** A circuit that changed; `reason` is why it had opened. */
export interface CircuitChange {
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly reason: Reason;
}

/** Heard after the state changed. */
export interface CircuitListeners {
  /** `untilMs`: milliseconds since the epoch at which the cool-down ends. */
  readonly opened?: (change: CircuitChange & { readonly untilMs: number }) => void;
  readonly halfOpened?: (change: CircuitChange) => void;
  readonly closed?: (change: CircuitChange) => void;
}

/** Where a plan puts a registry in one phase: last unless it is `closed` or `half-open`. */
export type CircuitPlace = 'closed' | 'open' | 'half-open' | 'limited';

/**
 * The health of every registry, in each phase by itself, as the pulls of one process have found it.
 *
 * It runs no timer: a cool-down that is over is noticed by whatever is asked next.
 */
export interface Circuits {
  /** Where the registry belongs in a plan made now. `limited` also while open: it asked not to be asked. */
  place(registry: string, phase: RegistryPhase): CircuitPlace;
  /** How one pull went: once per pull × registry × phase, however many blobs it fetched or lost. */
  record(registry: string, phase: RegistryPhase, outcome: PullOutcome): void;
  /**
   * Leaves a registry alone without calling it ill.
   *
   * @param untilMs on the monotonic clock; at most an hour from now is kept
   */
  limit(registry: string, phase: RegistryPhase, untilMs: number): void;
  /** Until when the registry wants to be left alone, on the monotonic clock; null when it may be asked. */
  limitedUntilMs(registry: string, phase: RegistryPhase): number | null;
  /** Hears of every change of a state or a pause, without saying which; returns what stops it. */
  onChange(listener: () => void): () => void;
  health(): readonly CircuitHealth[];
  /** Milliseconds from now until the first cool-down or pause ends; null when none is running. */
  nextChangeMs(): number | null;
  /** Stops telling anybody. */
  close(): void;
}

/** What `createCircuits` may be told beside the settings. */
export interface CircuitsOptions {
  /** Prefixes that `health()` lists although nothing has happened at them yet. */
  readonly registries?: readonly string[];
  /** For the jitter: 0 to below 1. */
  readonly random?: () => number;
}

/**
 * Registries beyond the listed ones that are remembered, times two phases. Their names can come from tenants
 * (`unlisted: 'own-registry'`) and must not fill the memory.
 */
export const maxUnlistedRegistries = 500;

interface Circuit {
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly machine: CircuitMachine;
  limitedUntilMs: number;
}

export function createCircuits(
  settings: HealthSettings,
  on: CircuitListeners = {},
  options: CircuitsOptions = {},
): Circuits {
  const random = options.random ?? Math.random;
  const listed = new Set(options.registries);
  const circuits = new Map<string, Circuit>();
  const changeListeners = new Set<() => void>();
  let isClosed = false;

  for (const registry of listed) for (const phase of registryPhases) circuitOf(registry, phase);

  function keyOf(registry: string, phase: RegistryPhase): string {
    return `${phase} ${registry}`;
  }

  function circuitOf(registry: string, phase: RegistryPhase): Circuit {
    const key = keyOf(registry, phase);
    const known = circuits.get(key);
    if (known !== undefined) return known;
    makeRoom();
    const machine = createCircuitMachine(settings, monotonicMs(), random);
    const circuit: Circuit = { registry, phase, machine, limitedUntilMs: -Infinity };
    circuits.set(key, circuit);
    return circuit;
  }

  /** Forgets what a fresh circuit would do as well first; if nothing is so, what was met first. */
  function makeRoom(): void {
    if (circuits.size < (listed.size + maxUnlistedRegistries) * registryPhases.length) return;
    const nowMs = monotonicMs();
    const unlisted = [...circuits].filter(([, circuit]) => !listed.has(circuit.registry));
    const idle = unlisted.filter(([, circuit]) => circuit.limitedUntilMs <= nowMs && circuit.machine.isIdle(nowMs));
    for (const [key] of idle.length > 0 ? idle : unlisted.slice(0, 1)) circuits.delete(key);
  }

  function tell(circuit: Circuit, reason: Reason): void {
    if (isClosed) return;
    const { registry, phase, machine } = circuit;
    const { state } = machine;
    switch (state.kind) {
      case 'open':
        on.opened?.({ registry, phase, reason, untilMs: toEpochMs(state.untilMs) });
        break;
      case 'half-open':
        on.halfOpened?.({ registry, phase, reason });
        break;
      case 'closed':
        on.closed?.({ registry, phase, reason });
        break;
    }
    tellChange();
  }

  function tellChange(): void {
    // As they are now: one that is added meanwhile would hear of what it was added for.
    const listeners = Array.from(changeListeners);
    for (const listener of listeners) if (changeListeners.has(listener)) listener();
  }

  function advance(circuit: Circuit, nowMs: number): void {
    const { state } = circuit.machine;
    if (state.kind === 'open' && circuit.machine.advance(nowMs)) tell(circuit, state.reason);
  }

  function advanceAll(nowMs: number): void {
    const known = Array.from(circuits.values());
    for (const circuit of known) advance(circuit, nowMs);
  }

  return {
    place: (registry, phase) => {
      // Asking creates nothing, so that names in refused or failing pulls leave no trace.
      const circuit = circuits.get(keyOf(registry, phase));
      if (circuit === undefined) return 'closed';
      const nowMs = monotonicMs();
      advance(circuit, nowMs);
      return circuit.limitedUntilMs > nowMs ? 'limited' : circuit.machine.state.kind;
    },
    record: (registry, phase, outcome) => {
      const circuit = circuitOf(registry, phase);
      const nowMs = monotonicMs();
      advance(circuit, nowMs);
      const before = circuit.machine.state;
      if (!circuit.machine.record(outcome, nowMs)) return;
      const reason = outcome === 'good' ? reasonOf(before) : outcome.ill;
      if (reason !== null) tell(circuit, reason);
    },
    limit: (registry, phase, untilMs) => {
      const circuit = circuitOf(registry, phase);
      const nowMs = monotonicMs();
      const cappedMs = Math.min(untilMs, nowMs + maxRetryAfterMs);
      if (!(cappedMs > Math.max(nowMs, circuit.limitedUntilMs))) return;
      circuit.limitedUntilMs = cappedMs;
      if (!isClosed) tellChange();
    },
    limitedUntilMs: (registry, phase) => {
      const untilMs = circuits.get(keyOf(registry, phase))?.limitedUntilMs ?? -Infinity;
      return untilMs > monotonicMs() ? untilMs : null;
    },
    onChange: (listener) => {
      // Each registration is its own, also of one and the same function.
      const registered = (): void => listener();
      changeListeners.add(registered);
      return () => changeListeners.delete(registered);
    },
    health: () => {
      const nowMs = monotonicMs();
      advanceAll(nowMs);
      return [...circuits.values()].map((circuit) => healthOf(circuit, nowMs));
    },
    nextChangeMs: () => {
      const nowMs = monotonicMs();
      advanceAll(nowMs);
      const endsMs = [...circuits.values()].flatMap(({ machine, limitedUntilMs }) => [
        ...(machine.state.kind === 'open' ? [machine.state.untilMs] : []),
        ...(limitedUntilMs > nowMs ? [limitedUntilMs] : []),
      ]);
      return endsMs.length === 0 ? null : Math.ceil(Math.min(...endsMs) - nowMs);
    },
    close: () => {
      isClosed = true;
      changeListeners.clear();
    },
  };
}

function healthOf({ registry, phase, machine, limitedUntilMs }: Circuit, nowMs: number): CircuitHealth {
  const { state } = machine;
  return {
    registry,
    phase,
    state: state.kind,
    sinceMs: toEpochMs(state.sinceMs),
    reason: reasonOf(state),
    untilMs: state.kind === 'open' ? toEpochMs(state.untilMs) : null,
    limitedUntilMs: limitedUntilMs > nowMs ? toEpochMs(limitedUntilMs) : null,
  };
}

function reasonOf(state: CircuitState): Reason | null {
  switch (state.kind) {
    case 'closed':
      return null;
    case 'open':
    case 'half-open':
      return state.reason;
  }
}
