import { monotonicMs } from '../clock/time.js';
import { createBoundedMap, type BoundedMap } from '../policy/bounded-map.js';
import type { Finding } from '../vocabulary/finding.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { Reason } from '../vocabulary/reason.js';
import { culpritOf, type Culprit } from './cause.js';

/** Who saw how a registry fared in a phase. */
export interface Sight {
  /** The registry's prefix. */
  readonly registry: string;
  readonly phase: RegistryPhase;
  /** The id of the engine that the image was for. */
  readonly engine: string;
  /** The engine fetched by itself (the route `direct`): then it, or its way to the registry, may be what failed. */
  readonly viaEngine: boolean;
}

/** A failure that somebody saw. */
export interface SeenFailure extends Sight {
  readonly reason: Reason;
  /**
   * Whether the circuit hears of it at once, as of every `ill` verdict. What it does not hear of, since it may as well have
   * been the engine, is told to it later if it is proven: only what would have been `ill` otherwise belongs here.
   */
  readonly isCounted: boolean;
}

/** A failure that its circuit had not heard of is the registry's fault after all. */
export interface ProvenFault {
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly reason: Reason;
  readonly finding: Finding;
}

/** Finds out whose fault failures are, by who else fares how at the same registry in the same phase. */
export interface Attribution {
  /** Says whose fault it is as far as is known now. What is the fault of a host must not move a circuit. */
  failed(failure: SeenFailure): Finding;
  succeeded(sight: Sight): void;
  /** This process has probed the registry. */
  probed(registry: string, phase: RegistryPhase, outcome: 'good' | 'ill'): void;
  /** What was said of the last failure of a registry in a phase; null where there was none lately. */
  last(registry: string, phase: RegistryPhase): Finding | null;
}

/**
 * So long what somebody saw speaks for or against somebody else: as long as the longest cool-down. Later a registry may
 * have failed, or be well again, for both.
 */
export const sightMemoryMs = 300_000;

/** Their names can come from tenants, as those of circuits can. */
const maxPlaces = 1_000;
const maxEngines = 64;

/** How somebody fared last. */
interface Outcome {
  readonly who: string;
  readonly atMs: number;
  readonly isGood: boolean;
  /** Which of two in the same millisecond was later. */
  readonly order: number;
}

interface EngineSight extends Outcome {
  readonly viaEngine: boolean;
  /** A failure that its circuit has not heard of. */
  uncounted: Reason | null;
}

/** One registry in one phase. */
interface Place {
  /** By engine and by who fetched. */
  readonly sights: BoundedMap<string, EngineSight>;
  probe: Outcome | null;
  last: { readonly atMs: number; readonly finding: Finding } | null;
}

const notTheRegistrys: Readonly<Record<Exclude<Culprit, 'registry'>, string>> = {
  account: 'the account of this host is limited or not let in there',
  network: 'it is the network of this host',
  host: 'it is this host',
  caller: 'it is what the caller wanted',
};

/** @param onProven told when a failure that its circuit has not heard of turns out to be the registry's fault */
export function createAttribution(onProven: (fault: ProvenFault) => void = () => {}): Attribution {
  const places = createBoundedMap<string, Place>(maxPlaces);
  let order = 0;

  const keyOf = (registry: string, phase: RegistryPhase): string => `${phase} ${registry}`;

  function placeOf(registry: string, phase: RegistryPhase): Place {
    const key = keyOf(registry, phase);
    const known = places.get(key);
    if (known !== undefined) return known;
    const place: Place = { sights: createBoundedMap(maxEngines), probe: null, last: null };
    places.set(key, place);
    return place;
  }

  function note(place: Place, { engine, viaEngine }: Sight, isGood: boolean, uncounted: Reason | null): void {
    order += 1;
    const sight = { who: engine, atMs: monotonicMs(), isGood, order, viaEngine, uncounted };
    place.sights.set(sightKeyOf(engine, viaEngine), sight);
  }

  /** The failures of this place that its circuit has not heard of, which it hears of now. */
  function prove(registry: string, phase: RegistryPhase, place: Place, finding: Finding): void {
    for (const sight of place.sights.values()) {
      const { uncounted: reason } = sight;
      sight.uncounted = null;
      if (reason !== null && isRecent(sight)) onProven({ registry, phase, reason, finding });
    }
  }

  return {
    failed: (failure) => {
      const { registry, phase, reason, isCounted } = failure;
      const culprit = culpritOf[reason.cause];
      // It says nothing of the registry, to whoever asks next.
      if (culprit !== 'registry') return { fault: 'host', because: notTheRegistrys[culprit], evidence: 'none' };
      // What it does not have is no illness, however many look for it there.
      if (reason.cause === 'not-replicated')
        return { fault: 'registry', because: 'it is not there', evidence: 'own-process' };
      const place = placeOf(registry, phase);
      const finding = findingOf(failure, lastOfOthers(place, failure), place.probe);
      note(place, failure, false, isCounted || finding.fault === 'host' ? null : reason);
      place.last = { atMs: monotonicMs(), finding };
      if (finding.fault === 'registry') prove(registry, phase, place, finding);
      return finding;
    },
    succeeded: (sight) => note(placeOf(sight.registry, sight.phase), sight, true, null),
    probed: (registry, phase, outcome) => {
      const place = placeOf(registry, phase);
      order += 1;
      place.probe = { who: '', atMs: monotonicMs(), isGood: outcome === 'good', order };
      if (outcome === 'good' || place.last === null || !isRecent(place.last)) return;
      const finding: Finding = { fault: 'registry', because: probeFailed, evidence: 'probe' };
      if (place.last.finding.fault === 'unproven') place.last = { ...place.last, finding };
      prove(registry, phase, place, finding);
    },
    last: (registry, phase) => {
      const last = places.get(keyOf(registry, phase))?.last ?? null;
      return last !== null && isRecent(last) ? last.finding : null;
    },
  };
}

const probeFailed = 'a probe of this process failed as well';

function sightKeyOf(engine: string, viaEngine: boolean): string {
  return `${viaEngine ? 'by itself' : 'through this process'} ${engine}`;
}

function isRecent({ atMs }: { readonly atMs: number }): boolean {
  return atMs > monotonicMs() - sightMemoryMs;
}

/**
 * How somebody else fared last. What this process fetched for an engine says of the registry what it would for any other;
 * for an engine that fetches by itself it is another witness even where it was for the same one.
 */
function lastOfOthers({ sights }: Place, { engine, viaEngine }: Sight): EngineSight | null {
  const others = [...sights.values()].filter(
    (sight) => isRecent(sight) && (sight.who !== engine || (viaEngine && !sight.viaEngine)),
  );
  return others.reduce<EngineSight | null>(
    (latest, each) => (latest === null || each.order > latest.order ? each : latest),
    null,
  );
}

function findingOf({ engine, viaEngine }: Sight, other: EngineSight | null, probe: Outcome | null): Finding {
  const isProbeLast = probe !== null && isRecent(probe) && probe.order > (other?.order ?? 0);
  if (isProbeLast && !probe.isGood) return { fault: 'registry', because: probeFailed, evidence: 'probe' };
  if (!isProbeLast && other !== null && !other.isGood) {
    // For one engine it may be this process and the engine that agree: two witnesses all the same.
    const because = other.who === engine ? `this process has seen it too` : `${other.who} has seen it too`;
    return { fault: 'registry', because, evidence: 'two-engines' };
  }
  // What this process fetches itself, no engine can be at fault for: that others fare well only makes it less sure.
  const fault = viaEngine ? 'host' : 'unproven';
  if (isProbeLast) return { fault, because: 'a probe of this process found it well', evidence: 'probe' };
  if (other !== null) {
    const who = other.who === engine ? 'this process' : other.who;
    return { fault, because: `${who} got what it wanted there`, evidence: 'others-succeed' };
  }
  return viaEngine
    ? { fault: 'unproven', because: `only ${engine} has seen it so far, by itself`, evidence: 'none' }
    : { fault: 'unproven', because: `only this host has seen it so far, for ${engine}`, evidence: 'own-process' };
}
