import dns from 'node:dns';
import { abortable } from '../policy/deadline.js';
import { createConnectionSlots } from './connection-slots.js';
import type { NameWitness } from './name-witness.js';

/** One address of a name. */
export interface Address {
  readonly address: string;
  readonly family: number;
}

/** Looks names up as the host's own configuration says, `/etc/hosts` included. */
export type NameLookup = (name: string, signal: AbortSignal) => Promise<readonly Address[]>;

/**
 * `getaddrinfo` holds a thread of libuv's pool (4 by default) for as long as the resolver takes, many seconds when it
 * is dead. The layout's files are written by the same threads, so two are left to them.
 */
const maxLookups = 2;

/** Creates a look-up that asks once for many who want the same name at the same time. Nothing is cached beyond that. */
export function createNameLookup(witness: NameWitness): NameLookup {
  const threads = createConnectionSlots(maxLookups);
  const running = new Map<string, Promise<readonly Address[]>>();

  async function ask(name: string): Promise<readonly Address[]> {
    const thread = await threads.acquire(new AbortController().signal);
    try {
      const found = await dns.promises.lookup(name, { all: true, order: 'verbatim' });
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
