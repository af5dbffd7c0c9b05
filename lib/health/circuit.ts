import { epochMs, monotonicMs } from '../clock/time.js';
import type { SeenBy } from '../events/pull-event.js';
import { registryPhases, type RegistryPhase } from '../vocabulary/phase.js';
import { healthOf, type CircuitHealth } from './circuit-health.js';
import { createCircuitKeeper, type CircuitKeeper } from './circuit-keeper.js';
import type { PullOutcome } from './circuit-state.js';
import { tellSteps, type CircuitListeners } from './circuit-steps.js';
import { circuitKey, isNewer, type CircuitsState, type KeptCircuit } from './circuits-document.js';
import type { HealthSettings } from './health-options.js';
import { fromEpochMs, stampOf, stampOfKept, stateOfKept } from './kept-state.js';
import { keptOf, newCircuit, placeOf, type CircuitPlace, type KnownCircuit } from './known-circuit.js';
import type { StateDocument } from './state-document.js';
import { maxRetryAfterMs } from './verdict.js';

export type { CircuitHealth } from './circuit-health.js';
export type { CircuitListeners } from './circuit-steps.js';
export { plansPerTrial, type CircuitPlace } from './known-circuit.js';

/**
 * The health of every registry, in each phase by itself, as the pulls and probes of all processes that share the state
 * have found it.
 *
 * It runs no timer: a cool-down that is over is noticed by whatever is asked next.
 */
export interface Circuits {
  /**
   * Where the registry belongs in a plan made now. `limited` also while open: it asked not to be asked.
   *
   * @param options.trial whether a pull will be made by this plan: only such a one uses up the share of real work that
   *   tries a half-open registry
   */
  place(registry: string, phase: RegistryPhase, options?: { readonly trial?: boolean }): CircuitPlace;
  /** How one pull went: once per pull × registry × phase, however many blobs it fetched or lost. Or one probe. */
  record(registry: string, phase: RegistryPhase, outcome: PullOutcome, seenBy?: SeenBy): void;
  /**
   * Leaves a registry alone without calling it ill.
   *
   * @param untilMs on the monotonic clock; at most an hour from now is kept
   */
  limit(registry: string, phase: RegistryPhase, untilMs: number): void;
  /** Until when the registry wants to be left alone, on the monotonic clock; null when it may be asked. */
  limitedUntilMs(registry: string, phase: RegistryPhase): number | null;
  /** An operator says what the circuit counts as; null ends that, and shows what was learnt meanwhile. */
  hold(registry: string, phase: RegistryPhase, as: 'open' | 'closed' | null): void;
  /**
   * A probe will be made then, on the monotonic clock; null: none will. As long as one is to come, no pull tries a
   * half-open registry before a probe found it well.
   */
  expectProbe(registry: string, phase: RegistryPhase, atMs: number | null): void;
  /** Hears of every change of a state, a hold or a pause, without saying which; returns what stops it. */
  onChange(listener: () => void): () => void;
  health(): readonly CircuitHealth[];
  /** Milliseconds from now until the first cool-down or pause ends; null when none is running. */
  nextChangeMs(): number | null;
  /** Takes over what other processes have found; cheap where nothing changed. Never rejects. */
  load(): Promise<void>;
  /** Resolves when every change is kept where other processes find it, or could not be. Never rejects. */
  flush(): Promise<void>;
  /** Stops telling anybody. */
  close(): void;
}

/** What `createCircuits` may be told beside the settings. */
export interface CircuitsOptions {
  /** Prefixes that `health()` lists although nothing has happened at them yet. */
  readonly registries?: readonly string[];
  /** For the jitter: 0 to below 1. */
  readonly random?: () => number;
  /** Where circuits outlive this process, and are shared with others; default: nowhere. */
  readonly document?: StateDocument<CircuitsState>;
}

/**
 * Registries beyond the listed ones that are remembered, times two phases. Their names can come from tenants
 * (`unlisted: 'own-registry'`) and must not fill the memory.
 */
export const maxUnlistedRegistries = 500;

/** What is kept is rounded, and clocks are corrected: a pause that ends within this time is the same one. */
const clockStepMs = 1_000;

export function createCircuits(
  settings: HealthSettings,
  on: CircuitListeners = {},
  options: CircuitsOptions = {},
): Circuits {
  const random = options.random ?? Math.random;
  const listed = new Set(options.registries);
  const circuits = new Map<string, KnownCircuit>();
  const changeListeners = new Set<() => void>();
  const bounds = {
    isListed: (registry: string) => listed.has(registry),
    maxOthers: maxUnlistedRegistries * registryPhases.length,
  };
  const keeper: CircuitKeeper | null =
    options.document === undefined ? null : createCircuitKeeper(options.document, bounds, adoptAll);
  let isClosed = false;

  for (const registry of listed) for (const phase of registryPhases) circuitOf(registry, phase);

  function circuitOf(registry: string, phase: RegistryPhase): KnownCircuit {
    const key = circuitKey(registry, phase);
    const known = circuits.get(key);
    if (known !== undefined) return known;
    makeRoom();
    const circuit = newCircuit(registry, phase, settings, random);
    circuits.set(key, circuit);
    return circuit;
  }

  /** Forgets what a fresh circuit would do as well first; if nothing is so, what was met first. */
  function makeRoom(): void {
    if (circuits.size < listed.size * registryPhases.length + bounds.maxOthers) return;
    const nowMs = monotonicMs();
    const unlisted = [...circuits].filter(([, { registry, hold }]) => !listed.has(registry) && hold === null);
    const idle = unlisted.filter(([, circuit]) => circuit.limitedUntilMs <= nowMs && circuit.machine.isIdle(nowMs));
    for (const [key] of idle.length > 0 ? idle : unlisted.slice(0, 1)) circuits.delete(key);
  }

  /** The machine is in another state. */
  function changed(circuit: KnownCircuit, seenBy: SeenBy): void {
    circuit.plans = 0;
    // What a hold covers is learnt in silence, and told when it ends.
    if (circuit.hold === null) tell(circuit, seenBy);
  }

  function tell(circuit: KnownCircuit, seenBy: SeenBy): void {
    const { told, machine } = circuit;
    circuit.told = machine.state;
    if (isClosed) return;
    tellSteps(on, circuit, { told, now: machine.state, seenBy });
    tellChange();
  }

  function tellChange(): void {
    if (isClosed) return;
    // As they are now: one that is added meanwhile would hear of what it was added for.
    const listeners = Array.from(changeListeners);
    for (const listener of listeners) if (changeListeners.has(listener)) listener();
  }

  function advance(circuit: KnownCircuit, nowMs: number): void {
    if (!circuit.machine.advance(nowMs)) return;
    stampNow(circuit);
    changed(circuit, 'state');
  }

  function advanceAll(nowMs: number): void {
    const known = Array.from(circuits.values());
    for (const circuit of known) advance(circuit, nowMs);
  }

  function stampNow(circuit: KnownCircuit): void {
    circuit.stamp = stampOf(circuit.machine.state, circuit.stamp);
    keep(circuit);
  }

  function keep(circuit: KnownCircuit): void {
    // What still ends after a puller was closed writes no files any more.
    if (!isClosed) keeper?.keep(keptOf(circuit));
  }

  function adoptAll(found: CircuitsState): void {
    if (isClosed) return;
    for (const [key, kept] of found) {
      if (circuits.has(key) || matters(kept)) adopt(circuitOf(kept.registry, kept.phase), kept);
    }
  }

  /** Whether a registry that this process has nothing to do with yet is worth a place in its memory. */
  function matters({ state, sinceMs, limitedUntilMs }: KeptCircuit): boolean {
    return state !== 'closed' || limitedUntilMs !== null || epochMs() - sinceMs < settings.maxCoolDownMs;
  }

  function adopt(circuit: KnownCircuit, kept: KeptCircuit): void {
    const nowMs = monotonicMs();
    const limitedUntilMs = kept.limitedUntilMs === null ? -Infinity : fromEpochMs(kept.limitedUntilMs);
    const isPaused = limitedUntilMs > Math.max(nowMs, circuit.limitedUntilMs + clockStepMs);
    if (isPaused) circuit.limitedUntilMs = limitedUntilMs;
    if (isNewer(kept, circuit.stamp)) {
      const state = stateOfKept(kept, nowMs, settings.maxCoolDownMs);
      circuit.stamp = stampOfKept(kept, state);
      circuit.machine.adopt(state);
      changed(circuit, 'state');
      advance(circuit, nowMs);
    } else if (isPaused) {
      tellChange();
    }
  }

  return {
    place: (registry, phase, { trial = false } = {}) => {
      // Asking creates nothing, so that names in refused or failing pulls leave no trace.
      const circuit = circuits.get(circuitKey(registry, phase));
      if (circuit === undefined) return 'closed';
      const nowMs = monotonicMs();
      advance(circuit, nowMs);
      return placeOf(circuit, nowMs, trial);
    },
    record: (registry, phase, outcome, seenBy = 'pull') => {
      const circuit = circuitOf(registry, phase);
      const nowMs = monotonicMs();
      advance(circuit, nowMs);
      if (!circuit.machine.record(outcome, nowMs, seenBy)) return;
      stampNow(circuit);
      changed(circuit, seenBy);
    },
    limit: (registry, phase, untilMs) => {
      const circuit = circuitOf(registry, phase);
      const nowMs = monotonicMs();
      const cappedMs = Math.min(untilMs, nowMs + maxRetryAfterMs);
      if (!(cappedMs > Math.max(nowMs, circuit.limitedUntilMs))) return;
      circuit.limitedUntilMs = cappedMs;
      keep(circuit);
      tellChange();
    },
    limitedUntilMs: (registry, phase) => {
      const untilMs = circuits.get(circuitKey(registry, phase))?.limitedUntilMs ?? -Infinity;
      return untilMs > monotonicMs() ? untilMs : null;
    },
    hold: (registry, phase, as) => {
      const known = circuits.get(circuitKey(registry, phase));
      if (as === (known?.hold?.as ?? null)) return;
      const circuit = known ?? circuitOf(registry, phase);
      circuit.hold = as === null ? null : { as, sinceMs: monotonicMs() };
      if (as === null && circuit.told !== circuit.machine.state) tell(circuit, 'state');
      else tellChange();
    },
    expectProbe: (registry, phase, atMs) => {
      const circuit = circuits.get(circuitKey(registry, phase));
      if (circuit !== undefined) circuit.nextProbeAtMs = atMs;
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
    load: async () => keeper?.load(),
    flush: async () => keeper?.flush(),
    close: () => {
      isClosed = true;
      changeListeners.clear();
    },
  };
}
