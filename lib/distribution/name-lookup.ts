import dns from 'node:dns';
import { abortable } from '../policy/deadline.js';
import { createConnectionSlots } from './connection-slots.js';
import type { NameWitness } from './name-witness.js';

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

/** Creates a look-up that asks once for many who want the same name at the same time. Nothing is cached beyond that. */
export function createNameLookup(witness: NameWitness, resolve: NameResolver): NameLookup {
  const threads = createConnectionSlots(maxLookups);
  const running = new Map<string, Promise<readonly Address[]>>();

  async function ask(name: string): Promise<readonly Address[]> {
    const thread = await threads.acquire(new AbortController().signal);
    try {
      const found = await resolve(name);
      witness.resolved(name);
      return found;
    } catch (error) {
      witness.failed(name);
      throw error;
    } finally {
      thread.release();
      running.delete(name);
    }
  }

  return (name, signal) => {
    let shared = running.get(name);
    if (shared === undefined) {
      shared = ask(name);
      running.set(name, shared);
      // Everybody who waits may have left before it fails.
      shared.catch(() => undefined);
    }
    return abortable(shared, signal);
  };
}
