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

/**
 * Names and scopes come from tenants and from peers: without a bound they would fill the memory.
 *
 * @param maxWeight what all values may weigh together
 * @param weigh what one weighs; default: each counts as one
 */
export function createBoundedMap<Key, Value>(
  maxWeight: number,
  weigh: (value: Value) => number = () => 1,
): BoundedMap<Key, Value> {
  const entries = new Map<Key, Value>();
  let weight = 0;

  function set(key: Key, value: Value): void {
    // A map iterates in the order of insertion: the first key is the one not used for longest.
    remove(key);
    entries.set(key, value);
    weight += weigh(value);
    for (const oldest of entries.keys()) {
      if (weight <= maxWeight) return;
      remove(oldest);
    }
  }

  function remove(key: Key): void {
    const value = entries.get(key);
    if (value !== undefined && entries.delete(key)) weight -= weigh(value);
  }

  return {
    get: (key) => {
      const value = entries.get(key);
      if (value !== undefined && entries.delete(key)) entries.set(key, value);
      return value;
    },
    set,
    has: (key) => entries.has(key),
    delete: remove,
    values: () => entries.values(),
    clear: () => {
      entries.clear();
      weight = 0;
    },
    get size() {
      return entries.size;
    },
  };
}
