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
  const entries = new Map<string, T>();
  return {
    of: (key) => {
      const entry = entries.get(key) ?? make(key);
      // A map iterates in the order of insertion: the first key is the one not used for longest.
      entries.delete(key);
      entries.set(key, entry);
      const [oldest] = entries.keys();
      if (entries.size > maxEntries && oldest !== undefined) entries.delete(oldest);
      return entry;
    },
  };
}
