import type { PullFailedOver, RegistryFailed } from '../events/pull-event.js';
import type { FollowedPull } from './followed-pull.js';

/**
 * How long before a circuit opens its failures are looked for: in 2017 the second one, that made the registry suspect,
 * came 16 minutes after the first.
 */
const lookBackMs = 1_200_000;

/** How much is shown of the bytes before the first failure: what the registries brought when all was well. */
const leadUpMs = 60_000;

const byteStepMs = 5_000;

/** A registry that fails a fleet's pulls does it more often, but the sorts are few. */
const maxFailures = 500;
const maxPulls = 200;
/** Eight registries, for as long as is looked back. */
const maxByteSteps = 2_000;

/** A failure or a failover. */
export type FailureEvent = RegistryFailed | PullFailedOver;

/** Bytes that arrived within a few seconds from then on. */
export interface RecentBytes {
  readonly registry: string;
  readonly atMs: number;
  readonly bytes: number;
}

/** What was noted before an incident was known to be one. */
export interface Beginning {
  readonly failures: readonly FailureEvent[];
  /** Pulls that this registry's failures touched, and that have ended. */
  readonly pulls: readonly FollowedPull[];
  readonly bytes: readonly RecentBytes[];
}

/** What failed lately without a circuit being open: the beginning of an incident is known only when it has begun. */
export class RecentPast {
  #failures: FailureEvent[] = [];
  #pulls: { readonly pull: FollowedPull; readonly atMs: number }[] = [];
  readonly #bytes = new Map<string, RecentBytes>();

  failed(event: FailureEvent): void {
    this.#failures.push(event);
    if (this.#failures.length > maxFailures) this.#failures.shift();
  }

  /** A pull has ended that was touched. */
  ended(pull: FollowedPull, atMs: number): void {
    this.#pulls.push({ pull, atMs });
    if (this.#pulls.length > maxPulls) this.#pulls.shift();
  }

  arrived(registry: string, bytes: number, atMs: number): void {
    const stepAtMs = Math.floor(atMs / byteStepMs) * byteStepMs;
    const key = `${stepAtMs} ${registry}`;
    const known = this.#bytes.get(key)?.bytes ?? 0;
    this.#bytes.set(key, { registry, atMs: stepAtMs, bytes: known + bytes });
    // A map iterates in the order of insertion: the oldest come first.
    for (const [oldest, step] of this.#bytes) {
      if (this.#bytes.size <= maxByteSteps && step.atMs >= atMs - lookBackMs) break;
      this.#bytes.delete(oldest);
    }
  }

  /** What led to this registry's circuit opening now. What is told is forgotten: it belongs to that incident alone. */
  before(registry: string, nowMs: number): Beginning {
    const isRecent = ({ atMs }: { readonly atMs: number }): boolean => atMs >= nowMs - lookBackMs;
    const isOf = (event: FailureEvent): boolean => registryOf(event) === registry;
    const failures = this.#failures.filter((event) => isRecent(event) && isOf(event));
    const pulls = this.#pulls.filter((each) => isRecent(each) && each.pull.wasTouchedBy(registry));
    const firstMs = failures[0]?.atMs ?? nowMs;
    const bytes = [...this.#bytes.values()].filter(({ atMs }) => atMs >= firstMs - leadUpMs);
    this.#failures = this.#failures.filter((event) => isRecent(event) && !isOf(event));
    this.#pulls = this.#pulls.filter((each) => isRecent(each) && !each.pull.wasTouchedBy(registry));
    this.#bytes.clear();
    return { failures, pulls: pulls.map(({ pull }) => pull), bytes };
  }
}

/** Whose failure it is. */
export function registryOf(event: FailureEvent): string {
  return event.type === 'registry:failed' ? event.registry : event.from;
}
