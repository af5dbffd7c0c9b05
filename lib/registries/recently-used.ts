import { createBoundedMap } from '../policy/bounded-map.js';

/**
 * How many entries are kept. Image names may come from tenants, so the hosts in them must not fill the memory;
 * a process that really pulls from more than this many registries only pays for making an entry again.
 */
const maxEntries = 256;

/** What was made for the keys used last. */
export interface RecentlyUsed<T> {
  /** Returns what was made for this key, or makes it. */
  of(key: string): T;
}

/** Keeps what `make` returned for the 256 keys used last. */
export function recentlyUsed<T extends object>(make: (key: string) => T): RecentlyUsed<T> {
  const entries = createBoundedMap<string, T>(maxEntries);
  return {
    of: (key) => {
      const known = entries.get(key);
      if (known !== undefined) return known;
      const entry = make(key);
      entries.set(key, entry);
      return entry;
    },
  };
}
