import { epochMs } from '../clock/time.js';
import { registryPhases, type RegistryPhase } from '../vocabulary/phase.js';
import type { Reason, ReasonCode } from '../vocabulary/reason.js';
import { redactText } from '../vocabulary/redact.js';
import { isCause } from './cause.js';
import { objectOf, type DocumentKind } from './state-document.js';
import { maxRetryAfterMs } from './verdict.js';

/** One circuit as it is kept; times are milliseconds since the epoch. */
export interface KeptCircuit {
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly state: 'closed' | 'open' | 'half-open';
  /** Since when; 0 where it never changed, and only a pause is kept. */
  readonly sinceMs: number;
  /** When the cool-down ends; null unless it is open. */
  readonly untilMs: number | null;
  /** Why it had opened; null while it is closed. */
  readonly reason: Reason | null;
  /** Until when the registry wants to be left alone, or null. */
  readonly limitedUntilMs: number | null;
  /** How often it opened without staying closed for long in between. */
  readonly openings: number;
}

/** The circuits of all who share a `stateDir`, by `circuitKey`. */
export type CircuitsState = ReadonlyMap<string, KeptCircuit>;

/** What a registry was a day ago says nothing about today. */
export const keptForMs = 86_400_000;

/** One circuit among others. */
export function circuitKey(registry: string, phase: RegistryPhase): string {
  return `${phase} ${registry}`;
}

/** Which circuits are to be kept, however many others there are. */
export interface KeptBounds {
  readonly isListed: (registry: string) => boolean;
  /** The others that are kept at most. */
  readonly maxOthers: number;
}

/** What is kept of each circuit: the newer change of its state, and the longer pause. */
export function mergeCircuits(kept: CircuitsState, added: Iterable<KeptCircuit>, bounds: KeptBounds): CircuitsState {
  const merged = new Map(kept);
  for (const circuit of added) {
    const key = circuitKey(circuit.registry, circuit.phase);
    const other = merged.get(key);
    merged.set(key, other === undefined ? circuit : mergeTwo(other, circuit));
  }
  const nowMs = epochMs();
  const others: KeptCircuit[] = [];
  for (const [key, circuit] of merged) {
    if (!saysAnything(circuit, nowMs)) merged.delete(key);
    else if (!bounds.isListed(circuit.registry)) others.push(circuit);
  }
  const tooMany = others.toSorted((one, other) => other.sinceMs - one.sinceMs).slice(bounds.maxOthers);
  for (const { registry, phase } of tooMany) merged.delete(circuitKey(registry, phase));
  return merged;
}

function mergeTwo(one: KeptCircuit, other: KeptCircuit): KeptCircuit {
  const newer = isNewer(other, one) ? other : one;
  const limitedUntilMs = Math.max(one.limitedUntilMs ?? 0, other.limitedUntilMs ?? 0);
  return { ...newer, limitedUntilMs: limitedUntilMs === 0 ? null : limitedUntilMs };
}

/** Of two changes in one millisecond the worse one counts as the newer, so that all who look agree. */
const rankOf: Readonly<Record<KeptCircuit['state'], number>> = { closed: 0, 'half-open': 1, open: 2 };

/** When a circuit came to be as it is. */
export type CircuitStamp = Pick<KeptCircuit, 'state' | 'sinceMs' | 'untilMs'>;

/** Whether the first one is the newer change of one and the same circuit. */
export function isNewer(one: CircuitStamp, other: CircuitStamp): boolean {
  if (one.sinceMs !== other.sinceMs) return one.sinceMs > other.sinceMs;
  return rankOf[one.state] > rankOf[other.state];
}

function saysAnything({ state, sinceMs, untilMs, limitedUntilMs }: KeptCircuit, nowMs: number): boolean {
  if (limitedUntilMs !== null && limitedUntilMs > nowMs) return true;
  if (state === 'open' && untilMs !== null && untilMs > nowMs) return true;
  return nowMs - sinceMs < keptForMs;
}

/**
 * `circuits.json`: `{ version: 1, circuits: [{ registry, phase, state, sinceMs, untilMs, reason, limitedUntilMs,
 * openings }] }`. An open one whose `untilMs` is over is half-open, also where nobody has written that yet.
 */
export const circuitsDocument: DocumentKind<CircuitsState> = {
  name: 'circuits',
  empty: new Map(),
  format: (circuits) => ({ version: 1, circuits: [...circuits.values()] }),
  parse: (value) => {
    const { version, circuits } = objectOf(value);
    if (version !== 1 || !Array.isArray(circuits)) throw new TypeError('it is not version 1 of the circuits');
    return mergeCircuits(new Map(), circuits.map(parseCircuit), { isListed: () => true, maxOthers: 0 });
  },
};

function parseCircuit(value: unknown): KeptCircuit {
  const { registry, phase, state, sinceMs, untilMs, reason, limitedUntilMs, openings } = objectOf(value);
  if (typeof registry !== 'string') throw new TypeError('a circuit has no registry');
  const circuit = {
    registry,
    phase: oneOf(registryPhases, phase),
    state: oneOf(['closed', 'open', 'half-open'] as const, state),
    openings: Math.trunc(timeOf(openings)),
    limitedUntilMs: limitedUntilMs === null ? null : atMost(timeOf(limitedUntilMs), maxRetryAfterMs),
    // Written under a clock that was ahead: it must not be the newest for ever.
    sinceMs: atMost(timeOf(sinceMs), 0),
  };
  if (circuit.state === 'closed') return { ...circuit, untilMs: null, reason: null };
  return {
    ...circuit,
    reason: parseReason(reason),
    untilMs: circuit.state === 'open' ? atMost(timeOf(untilMs), keptForMs) : null,
  };
}

function parseReason(value: unknown): Reason {
  const { cause, code, message } = objectOf(value);
  if (!isCause(cause) || typeof message !== 'string') throw new TypeError('a circuit has a malformed reason');
  if (typeof code !== 'string' || !/^[a-z0-9-]{1,40}$/.test(code)) throw new TypeError('a reason has a malformed code');
  // A later version may know more codes than this one; each is only ever shown.
  return { cause, code: code as ReasonCode, message: redactText(message) };
}

/** A time of a clock that may have been ahead: at most so far from now. */
function atMost(atMs: number, fromNowMs: number): number {
  return Math.min(atMs, epochMs() + fromNowMs);
}

function timeOf(value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) throw new TypeError('a time is malformed');
  return value;
}

function oneOf<const Word extends string>(words: readonly Word[], value: unknown): Word {
  const found = words.find((word) => word === value);
  if (found === undefined) throw new TypeError(`${JSON.stringify(value)} is none of ${words.join(', ')}`);
  return found;
}
