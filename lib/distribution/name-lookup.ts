import dns from 'node:dns';
import { monotonicMs } from '../clock/time.js';
import { abortable } from '../policy/deadline.js';
import { createConnectionSlots } from './connection-slots.js';
import type { ReachWitness } from './reach-witness.js';

/** One address of a name. */
export interface Address {
  readonly address: string;
  readonly family: number;
}

/** Asks for all addresses of a name. */
export type NameResolver = (name: string) => Promise<readonly Address[]>;

/** Asks as the host's own configuration says, `/etc/hosts` included. */
export const systemResolver: NameResolver = (name) => dns.promises.lookup(name, { all: true, order: 'verbatim' });

/** Looks names up for many at a time. */
export type NameLookup = (name: string, signal: AbortSignal) => Promise<readonly Address[]>;

/**
 * `getaddrinfo` holds a thread of libuv's pool (4 by default) for as long as the resolver takes, many seconds when it
 * is dead. The layout's files are written by the same threads, so one is always left to them; and the dead names of one
 * registry (its own and its token service's) must not hold up the name of the next one.
 */
const maxLookups = 3;

/** One look-up, and who waits for it. */
interface RunningLookup {
  readonly found: Promise<readonly Address[]>;
  /** Ends its wait for a thread; a thread that has it cannot be taken from it. */
  readonly unwanted: AbortController;
  hasThread: boolean;
  waiting: number;
}

/**
 * Creates a look-up that asks once for many who want the same name at the same time. Nothing is cached beyond that.
 * What nobody waits for any more is not begun: a registry that leads to one dead name after another would fill the
 * queue for all others.
 */
export function createNameLookup(witness: ReachWitness, resolve: NameResolver): NameLookup {
  const threads = createConnectionSlots(maxLookups);
  const running = new Map<string, RunningLookup>();

  function start(name: string): RunningLookup {
    const unwanted = new AbortController();
    const forget = (): void => {
      if (running.get(name) === lookup) running.delete(name);
    };
    async function ask(): Promise<readonly Address[]> {
      const thread = await threads.acquire(unwanted.signal);
      lookup.hasThread = true;
      const sinceMs = monotonicMs();
      try {
        const found = await resolve(name);
        witness.reached(name);
        return found;
      } catch (error) {
        witness.unreached(name, sinceMs);
        throw error;
      } finally {
        thread.release();
        forget();
      }
    }
    const found = ask();
    const lookup: RunningLookup = { found, unwanted, hasThread: false, waiting: 0 };
    running.set(name, lookup);
    // Everybody who waits may have left before it fails.
    found.catch(() => undefined);
    return lookup;
  }

  return async (name, signal) => {
    signal.throwIfAborted();
    const lookup = running.get(name) ?? start(name);
    lookup.waiting += 1;
    try {
      return await abortable(lookup.found, signal);
    } finally {
      lookup.waiting -= 1;
      if (lookup.waiting === 0 && !lookup.hasThread) {
        // Whoever comes now must not join what is being given up.
        if (running.get(name) === lookup) running.delete(name);
        lookup.unwanted.abort(new Error('nobody waits for this name any more'));
      }
    }
  };
}
