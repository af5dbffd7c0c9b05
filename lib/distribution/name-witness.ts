import { monotonicMs } from '../clock/time.js';
import { createBoundedMap } from '../policy/bounded-map.js';

/** How long a look-up says something about the resolver: longer than resolvers take to give up on one name. */
const memoryMs = 60_000;

/** A resolver that fails for one name is common (the name is wrong); for two different ones, and none that works, it is not. */
const namesThatProve = 2;

/** The names remembered at most; a process that pulls for tenants sees names without end. */
const maxNames = 64;

/** Remembers how look-ups went, to tell a name that fails from a resolver that does. */
export interface NameWitness {
  resolved(name: string): void;
  failed(name: string): void;
  /** `all`: lately no name could be resolved, and more than one was tried. */
  scope(): 'name' | 'all';
}

export function createNameWitness(): NameWitness {
  const failures = createBoundedMap<string, number>(maxNames);
  let resolvedAtMs = -Infinity;

  return {
    resolved: () => {
      resolvedAtMs = monotonicMs();
      failures.clear();
    },
    failed: (name) => {
      failures.set(name, monotonicMs());
    },
    scope: () => {
      const sinceMs = monotonicMs() - memoryMs;
      if (resolvedAtMs > sinceMs) return 'name';
      let names = 0;
      for (const failedAtMs of failures.values()) if (failedAtMs > sinceMs) names += 1;
      return names >= namesThatProve ? 'all' : 'name';
    },
  };
}
