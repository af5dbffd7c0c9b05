import type { Sources } from '../failover/sources.js';
import type { NewCourse } from '../failover/steering.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { PullPlan } from './plan.js';

/** A pull that walks through its plan. */
export interface RunningPull {
  readonly sources: Sources;
  /** What its plan would be now. */
  readonly replan: () => PullPlan;
}

/** The pulls that are under way: what one learns of a circuit holds for all, and so does what an operator wants. */
export class RunningPulls {
  readonly #pulls = new Set<RunningPull>();

  /** Returns what takes it away again. */
  add(pull: RunningPull): () => void {
    this.#pulls.add(pull);
    return () => this.#pulls.delete(pull);
  }

  /** A circuit opened: nobody need find out by itself. */
  demote(registry: string, phase: RegistryPhase): void {
    for (const { sources } of this.#pulls) sources.demote(registry, phase);
  }

  /** An operator acted. A pull that could ask nobody any more goes on as it was planned. */
  steer({ reason, inFlight }: Omit<NewCourse, 'order'>): void {
    for (const { sources, replan } of this.#pulls) {
      let plan: PullPlan;
      try {
        plan = replan();
      } catch {
        continue;
      }
      sources.steering.steer({ order: plan.order, reason, inFlight });
    }
  }
}
