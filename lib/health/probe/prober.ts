import type { RegistryClient } from '../../distribution/client.js';
import { monotonicMs } from '../../clock/time.js';
import { createLog } from '../../log/log.js';
import { deriveAbort } from '../../policy/deadline.js';
import type { Limits } from '../../policy/limits.js';
import type { RegistryPhase } from '../../vocabulary/phase.js';
import type { Reason } from '../../vocabulary/reason.js';
import type { CircuitHealth, Circuits } from '../circuit.js';
import { circuitKey } from '../circuits-document.js';
import type { HealthSettings } from '../health-options.js';
import { fromEpochMs } from '../kept-state.js';
import { createByteAllowance, type ByteAllowance } from './byte-allowance.js';
import { probeRegistry, type ProbeResult } from './probe-registry.js';
import type { ProbeTargets } from './probe-targets.js';

const log = createLog('health');

/** What a probe or canary found out about a registry in a phase. */
export interface Probed {
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly outcome: 'good' | { readonly ill: Reason };
  readonly seenBy: 'probe' | 'canary';
}

/** A look at a registry that is over. */
export interface Look extends Pick<Probed, 'registry' | 'phase' | 'seenBy'> {
  readonly result: ProbeResult;
  /** Bytes of the layer that arrived. */
  readonly bytes: number;
}

/** What a prober is made of. */
export interface ProberOptions {
  readonly circuits: Circuits;
  readonly settings: Pick<HealthSettings, 'probe' | 'canary' | 'coolDownMs'>;
  readonly targets: ProbeTargets;
  /** Those of a pull: what is too late for one is too late for a probe. */
  readonly limits: Pick<Limits, 'metadata' | 'layers'>;
  /** Who asks a registry, by its prefix; null: it cannot be asked without a pull. */
  readonly clientOf: (registry: string) => Pick<RegistryClient, 'openBlob' | 'headManifest'> | null;
  /** The prefixes that canaries look at; those beyond come from tenants. */
  readonly registries: readonly string[];
  /** For the jitter, and the place in a layer that never failed: 0 to below 1. */
  readonly random?: () => number;
  /** Hears of each result before the circuits do. */
  readonly onProbed?: (probed: Probed) => void;
  /** Hears of each request that has ended, before anything follows from it. */
  readonly onLooked?: (look: Look) => void;
}

/**
 * Finds out by itself when a registry is well again in the phase it failed in, and with canaries when one is not any more.
 *
 * One probe at a time per registry and phase: at the end of each cool-down, and after a good one the next
 * `probe.intervalMs` later, until the circuit is closed. Its timers keep no process alive; a probe under way does, for as
 * long as the limits of a pull allow.
 */
export interface Prober {
  /** Ends timers and requests; resolves when nothing is under way any more. */
  close(): Promise<void>;
}

/** An interval is longer by up to this share, at random: never shorter, so that three of them span what they must. */
export const probeJitter = 0.2;

/** A registry and phase that is looked at, or will be. */
interface Watch {
  readonly registry: string;
  readonly phase: RegistryPhase;
  /** Of which state the times below are; null before the first look. */
  state: CircuitHealth['state'] | null;
  /** On the monotonic clock. */
  notBeforeMs: number;
  /** Probes in a row that found nothing out. */
  unknowns: number;
  timer: NodeJS.Timeout | null;
  running: Promise<void> | null;
}

/** What a content fault hides from a probe: only whoever reads all of it can tell. */
function canProve({ phase, reason }: CircuitHealth): boolean {
  if (reason === null) return true;
  return phase === 'metadata' ? reason.cause !== 'content' : reason.code !== 'digest-mismatch';
}

/** Begins to listen to the circuits. Nothing is contacted, and no timer runs, until one is open. */
export function createProber(options: ProberOptions): Prober {
  const { circuits, settings, targets, limits, clientOf, onProbed, onLooked, random = Math.random } = options;
  const watches = new Map<string, Watch>();
  const allowances = new Map<string, ByteAllowance>();
  const canaried = new Set(settings.canary === null ? [] : options.registries);
  const ending = deriveAbort();
  let isLooking = false;
  let mustLookAgain = false;

  const stops = [circuits.onChange(look), targets.onFound(look)];
  look();

  /** Goes through all circuits: changes are rare, and looking at one may half-open another. */
  function look(): void {
    mustLookAgain = true;
    if (isLooking) return;
    isLooking = true;
    while (mustLookAgain && !ending.signal.aborted) {
      mustLookAgain = false;
      const gone = new Set(watches.keys());
      for (const health of circuits.health()) {
        plan(health);
        gone.delete(circuitKey(health.registry, health.phase));
      }
      for (const key of gone) drop(key);
    }
    isLooking = false;
  }

  function plan(health: CircuitHealth): void {
    const { registry, phase } = health;
    const key = circuitKey(registry, phase);
    if (!isToBeWatched(health)) {
      if (health.nextProbeAtMs !== null) circuits.expectProbe(registry, phase, null);
      drop(key);
      return;
    }
    const known = watches.get(key);
    const watch: Watch = known ?? {
      registry,
      phase,
      state: null,
      notBeforeMs: 0,
      unknowns: 0,
      timer: null,
      running: null,
    };
    watches.set(key, watch);
    if (watch.state !== health.state) {
      watch.state = health.state;
      watch.unknowns = 0;
      // A cool-down that ends is jittered itself; canaries of many hosts, and of all registries, begin apart.
      watch.notBeforeMs = health.state === 'closed' ? monotonicMs() + random() * intervalMs(health) : -Infinity;
    }
    if (watch.running !== null) return;
    const dueMs = dueAtMs(health, watch);
    circuits.expectProbe(registry, phase, dueMs);
    arm(watch, dueMs);
  }

  function isToBeWatched(health: CircuitHealth): boolean {
    const { registry, phase, state } = health;
    const hasTarget = (phase === 'layers' ? targets.layersOf(registry) : targets.manifestsOf(registry)).length > 0;
    if (!hasTarget || clientOf(registry) === null) return false;
    switch (state) {
      case 'closed':
        return canaried.has(registry);
      case 'open':
      case 'half-open':
        return canProve(health);
      case 'held':
        // An operator has said what it counts as, and may have said so because it is to be left alone.
        return false;
    }
  }

  function dueAtMs({ registry, phase, untilMs, limitedUntilMs }: CircuitHealth, watch: Watch): number {
    const nowMs = monotonicMs();
    const waitMs = phase === 'layers' ? allowanceOf(registry).waitMs() : 0;
    return Math.max(
      nowMs + waitMs,
      watch.notBeforeMs,
      untilMs === null ? -Infinity : fromEpochMs(untilMs),
      limitedUntilMs === null ? -Infinity : fromEpochMs(limitedUntilMs),
    );
  }

  function arm(watch: Watch, dueMs: number): void {
    if (watch.timer !== null) clearTimeout(watch.timer);
    watch.timer = setTimeout(
      () => {
        watch.timer = null;
        begin(watch);
      },
      Math.ceil(dueMs - monotonicMs()),
    );
    watch.timer.unref();
  }

  function begin(watch: Watch): void {
    watch.running = probe(watch)
      .catch((error: unknown) => {
        // Only the end of the prober, or a defect of this library: neither may end the process.
        const why = error instanceof Error ? error.message : String(error);
        log(null, 'a probe was broken off', { registry: watch.registry, phase: watch.phase, why });
        watch.notBeforeMs = monotonicMs() + settings.coolDownMs;
      })
      .finally(() => {
        watch.running = null;
        look();
      });
  }

  async function probe(watch: Watch): Promise<void> {
    const { registry, phase } = watch;
    const { signal } = ending;
    // Another process may have found out meanwhile.
    await circuits.load();
    signal.throwIfAborted();
    const health = circuits.health().find((each) => each.registry === registry && each.phase === phase);
    const client = clientOf(registry);
    if (health === undefined || client === null || !isToBeWatched(health)) return;
    if (health.state === 'open' || dueAtMs(health, watch) > monotonicMs()) return;
    const seenBy = health.state === 'closed' ? 'canary' : 'probe';
    let bytes = 0;
    const result = await probeRegistry({
      client,
      registry,
      phase,
      targets,
      limits,
      allowance: allowanceOf(registry),
      onRead: (read) => {
        bytes += read;
      },
      random,
      signal,
    });
    signal.throwIfAborted();
    onLooked?.({ registry, phase, seenBy, result, bytes });
    log(null, 'probed', { registry, phase, seenBy, found: result.kind });
    watch.unknowns = result.kind === 'unknown' ? watch.unknowns + 1 : 0;
    watch.notBeforeMs = monotonicMs() + pauseMs(health, watch, result);
    tell(watch, result, seenBy);
  }

  function tell({ registry, phase }: Watch, result: ProbeResult, seenBy: Probed['seenBy']): void {
    switch (result.kind) {
      case 'good':
        onProbed?.({ registry, phase, outcome: 'good', seenBy });
        circuits.record(registry, phase, 'good', seenBy);
        return;
      case 'ill': {
        const outcome = { ill: result.reason };
        onProbed?.({ registry, phase: result.phase, outcome, seenBy });
        circuits.record(registry, result.phase, outcome, seenBy);
        return;
      }
      case 'limited':
        circuits.limit(registry, result.phase, monotonicMs() + result.retryAfterMs);
        return;
      case 'unknown':
      case 'no-target':
        return;
    }
  }

  /** How long to wait after a probe, whatever its circuit says. */
  function pauseMs(health: CircuitHealth, { phase, unknowns }: Watch, result: ProbeResult): number {
    switch (result.kind) {
      case 'good':
        return jittered(intervalMs(health));
      case 'ill':
        // A canary that failed is confirmed soon; what was half-open is open now, and waits for its cool-down.
        return result.phase === phase ? jittered(settings.probe.intervalMs) : jittered(settings.coolDownMs);
      case 'limited':
        return result.retryAfterMs;
      case 'no-target':
        return 0;
      case 'unknown': {
        // What fails on this host is not asked about in a tight loop, nor for long after it is over.
        const { intervalMs: shortestMs } = settings.probe;
        return jittered(Math.min(shortestMs * 2 ** unknowns, Math.max(settings.coolDownMs, shortestMs)));
      }
    }
  }

  function intervalMs({ state }: CircuitHealth): number {
    return state === 'closed' && settings.canary !== null ? settings.canary.intervalMs : settings.probe.intervalMs;
  }

  function jittered(ms: number): number {
    return ms * (1 + probeJitter * random());
  }

  function allowanceOf(registry: string): ByteAllowance {
    const allowance = allowances.get(registry) ?? createByteAllowance(settings.probe.maxBytesPerMinute);
    allowances.set(registry, allowance);
    return allowance;
  }

  function drop(key: string): void {
    const watch = watches.get(key);
    if (watch === undefined || watch.running !== null) return;
    if (watch.timer !== null) clearTimeout(watch.timer);
    watches.delete(key);
    const isAsked = [...watches.values()].some(({ registry }) => registry === watch.registry);
    if (!isAsked && allowances.get(watch.registry)?.isUnused === true) allowances.delete(watch.registry);
  }

  return {
    close: async () => {
      for (const stop of stops) stop();
      ending.abort(new Error('the puller was closed'));
      const running = [...watches.values()].flatMap(({ running: probing }) => probing ?? []);
      for (const { timer } of watches.values()) if (timer !== null) clearTimeout(timer);
      await Promise.allSettled(running);
    },
  };
}
