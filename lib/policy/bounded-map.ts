/** A map that forgets what was not used for longest. */
export interface BoundedMap<Key, Value> {
  get(key: Key): Value | undefined;
  set(key: Key, value: Value): void;
  has(key: Key): boolean;
  delete(key: Key): void;
  /** What was used last comes last; to look at it is no use of it. */
  values(): Iterable<Value>;
  clear(): void;
  readonly size: number;
}

/** Names and scopes come from tenants and from peers: without a bound they would fill the memory. */
export function createBoundedMap<Key, Value>(maxEntries: number): BoundedMap<Key, Value> {
  const entries = new Map<Key, Value>();

  function set(key: Key, value: Value): void {
    // A map iterates in the order of insertion: the first key is the one not used for longest.
    entries.delete(key);
    entries.set(key, value);
    if (entries.size <= maxEntries) return;
    const [oldest] = entries.keys();
    if (oldest !== undefined) entries.delete(oldest);
  }

  return {
    get: (key) => {
      const value = entries.get(key);
      if (value !== undefined) set(key, value);
      return value;
    },
    set,
    has: (key) => entries.has(key),
    delete: (key) => {
      entries.delete(key);
    },
    values: () => entries.values(),
    clear: () => entries.clear(),
    get size() {
      return entries.size;
    },
  };
}
