import { monotonicMs } from '../clock/time.js';
import { createBoundedMap } from '../policy/bounded-map.js';

/**
 * Whose fault it is, by what is known, that something was not reached.
 *
 * - `one`: its own, since others were reached after it had been tried in vain
 * - `all`: lately nothing was reached, and more than one was tried: it is this host's network
 * - `unproven`: it was the only one that was tried so far
 */
export type ReachScope = 'one' | 'all' | 'unproven';

/** Remembers what was reached and what was not, to tell one that cannot be reached from a network that reaches nobody. */
export interface ReachWitness {
  reached(what: string): void;
  /** @param sinceMs when it was begun to be tried, on the monotonic clock */
  unreached(what: string, sinceMs: number): void;
  scopeOf(what: string): ReachScope;
  /** Whether anything was reached in the last minute. */
  readonly reachesAnything: boolean;
}

/** How long a try says something about the network: longer than resolvers take to give up on one name. */
const memoryMs = 60_000;

/** One that is not reached is common; two different ones, and nobody else since, are not. */
const unreachedThatProve = 2;

/**
 * So long one that was not reached while others were is blamed at once: as long as the longest cool-down of a circuit.
 * Without it every outage of this host's network would begin with an illness of whoever is asked first.
 */
const contrastMs = 300_000;

/** What is remembered at most; a process that pulls for tenants sees names without end. */
const maxRemembered = 64;

/** A try, and when it ended. */
interface Try {
  readonly what: string;
  readonly atMs: number;
}

const none: Try = { what: '', atMs: -Infinity };

export function createReachWitness(): ReachWitness {
  /** Tries in vain since anything was reached. */
  const inVain = createBoundedMap<string, Try>(maxRemembered);
  /** Of whom it was seen, and when, that others are reached and they are not. */
  const contrasts = createBoundedMap<string, Try>(maxRemembered);
  let last = none;
  /** The last one that was reached before it, of others. */
  let lastOther = none;

  const isContrasted = (what: string): boolean => (contrasts.get(what) ?? none).atMs > monotonicMs() - contrastMs;

  return {
    reached: (what) => {
      const reached = { what, atMs: monotonicMs() };
      if (last.what !== what) lastOther = last;
      last = reached;
      contrasts.delete(what);
      for (const other of inVain.values()) {
        if (other.what !== what) contrasts.set(other.what, { ...other, atMs: reached.atMs });
      }
      inVain.clear();
    },
    unreached: (what, sinceMs) => {
      const other = last.what === what ? lastOther : last;
      (other.atMs > sinceMs ? contrasts : inVain).set(what, { what, atMs: monotonicMs() });
    },
    scopeOf: (what) => {
      if (isContrasted(what)) return 'one';
      const sinceMs = monotonicMs() - memoryMs;
      const lately = [...inVain.values()].filter((each) => each.atMs > sinceMs && !isContrasted(each.what));
      return lately.length >= unreachedThatProve ? 'all' : 'unproven';
    },
    get reachesAnything() {
      return last.atMs > monotonicMs() - memoryMs;
    },
  };
}
