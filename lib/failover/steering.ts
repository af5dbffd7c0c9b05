import { registryPhases, type RegistryPhase } from '../vocabulary/phase.js';
import type { Reason } from '../vocabulary/reason.js';
import { inOrder, type Candidate } from './candidate.js';

/** In which order each phase asks; a candidate that is not in it is barred from that phase. */
export type Course = Readonly<Record<RegistryPhase, readonly Candidate[]>>;

/** A course that holds from now on. */
export interface NewCourse {
  /** Prefixes of the plan's registries, each phase's in the order to ask them; those that are missing are barred. */
  readonly order: Readonly<Record<RegistryPhase, readonly string[]>>;
  /** Why, for whatever work moves by it. */
  readonly reason: Reason;
  /** What becomes of the bytes under way: they come from whoever is to bring them now, or the request may finish. */
  readonly inFlight: 'move' | 'finish';
}

/** Whom a pull may ask and in which order, as an operator may change it while the pull runs. */
export class Steering {
  readonly candidates: readonly Candidate[];
  #course: Course;
  /** Why a candidate has lost its place, and may have lost its work. */
  readonly #passed = new Map<string, Reason>();
  readonly #listeners = new Set<() => void>();

  /** @param candidates all of the plan, barred or not */
  constructor(candidates: readonly Candidate[], course: Course) {
    this.candidates = candidates;
    this.#course = course;
  }

  order(phase: RegistryPhase): readonly Candidate[] {
    return this.#course[phase];
  }

  isBarred(candidate: Candidate, phase: RegistryPhase): boolean {
    return !this.#course[phase].includes(candidate);
  }

  /** Why a candidate was passed over by a new course; null while it has its place. */
  whyPassed(candidate: Candidate, phase: RegistryPhase): Reason | null {
    return this.#passed.get(keyOf(candidate, phase)) ?? null;
  }

  /** Sets a new course. Who listens hears of it when bytes under way are to move. */
  steer({ order, reason, inFlight }: NewCourse): void {
    const course: Course = {
      metadata: inOrder(this.candidates, order.metadata),
      layers: inOrder(this.candidates, order.layers),
    };
    const before = this.#course;
    for (const phase of registryPhases) {
      for (const candidate of this.candidates) {
        if (isPassed(candidate, before[phase], course[phase])) this.#passed.set(keyOf(candidate, phase), reason);
        else if (placeOf(candidate, course[phase]) <= placeOf(candidate, before[phase])) {
          this.#passed.delete(keyOf(candidate, phase));
        }
      }
    }
    this.#course = course;
    if (inFlight === 'finish') return;
    for (const listener of Array.from(this.#listeners)) listener();
  }

  /** Hears of each new course by which bytes under way are to move; returns what stops it. */
  onSteered(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

function keyOf({ registry }: Candidate, phase: RegistryPhase): string {
  return `${phase} ${registry}`;
}

/** Barred comes after everybody. */
function placeOf(candidate: Candidate, order: readonly Candidate[]): number {
  const place = order.indexOf(candidate);
  return place === -1 ? Infinity : place;
}

/** Whether somebody is asked before a candidate now who was not. */
function isPassed(candidate: Candidate, before: readonly Candidate[], now: readonly Candidate[]): boolean {
  if (!now.includes(candidate)) return before.includes(candidate);
  return now.slice(0, placeOf(candidate, now)).some((other) => placeOf(other, before) > placeOf(candidate, before));
}
