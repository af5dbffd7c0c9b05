import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { redactText } from '../vocabulary/redact.js';

/** Bounds of a number; both ends belong to it. */
export interface NumberRange {
  readonly min?: number;
  readonly max?: number;
  /** Whether `Infinity` (no limit) is allowed; default false. */
  readonly infinity?: boolean;
}

/**
 * One readonly bag of options, checked key by key: an unknown key, a wrong type and a value out of range
 * throw an `InvalidOptionError` that names the whole path and the value. A missing key reads as `undefined`.
 */
export interface OptionBag {
  readonly path: string;
  has(key: string): boolean;
  raw(key: string): unknown;
  /** Milliseconds: an integer of at least 1, or `Infinity` where `range.infinity` allows it. */
  durationMs(key: string, range?: NumberRange): number | undefined;
  integer(key: string, range?: NumberRange): number | undefined;
  number(key: string, range?: NumberRange): number | undefined;
  string(key: string): string | undefined;
  boolean(key: string): boolean | undefined;
  oneOf<const Word extends string>(key: string, words: readonly Word[]): Word | undefined;
  /** A function; its signature is the caller's to trust. */
  callback(key: string): ((...args: never[]) => unknown) | undefined;
  /** A nested bag; an absent one reads as an empty one. */
  bag(key: string, keys: readonly string[]): OptionBag;
  pathOf(key: string): string;
}

/** Opens the options found at `path` (`''` for the outermost), of which only `keys` are known. */
export function openOptionBag(path: string, value: unknown, keys: readonly string[]): OptionBag {
  const pathOf = (key: string): string => (path === '' ? key : `${path}.${key}`);
  if (value !== undefined && (typeof value !== 'object' || value === null || Array.isArray(value))) {
    throw new InvalidOptionError(path === '' ? 'options' : path, `must be an object, got ${showValue(value, path)}`);
  }
  const values = (value ?? {}) as Readonly<Record<string, unknown>>;
  for (const key of Object.keys(values)) {
    if (!keys.includes(key)) {
      throw new InvalidOptionError(
        pathOf(key),
        `is unknown (value ${showValue(values[key], pathOf(key))}); known here: ${keys.join(', ')}`,
      );
    }
  }

  function typed<T>(key: string, what: string, is: (found: unknown) => found is T): T | undefined {
    const found = values[key];
    if (found === undefined) return undefined;
    if (!is(found)) throw new InvalidOptionError(pathOf(key), `must be ${what}, got ${showValue(found, pathOf(key))}`);
    return found;
  }

  function ranged(key: string, what: string, whole: boolean, range: NumberRange): number | undefined {
    const { min = -Infinity, max = Infinity, infinity = false } = range;
    const is = (found: unknown): found is number =>
      typeof found === 'number' &&
      (found === Infinity
        ? infinity
        : Number.isFinite(found) && (!whole || Number.isSafeInteger(found)) && found >= min && found <= max);
    const bounds = [
      ...(min === -Infinity ? [] : [`at least ${min}`]),
      ...(max === Infinity ? [] : [`at most ${max}`]),
    ].join(' and ');
    return typed(key, `${what}${bounds === '' ? '' : ` of ${bounds}`}${infinity ? ' or Infinity' : ''}`, is);
  }

  return {
    path,
    pathOf,
    has: (key) => values[key] !== undefined,
    raw: (key) => values[key],
    durationMs: (key, range = {}) => ranged(key, 'an integer number of milliseconds', true, { min: 1, ...range }),
    integer: (key, range = {}) => ranged(key, 'an integer', true, range),
    number: (key, range = {}) => ranged(key, 'a number', false, range),
    string: (key) =>
      typed(key, 'a non-empty string', (found): found is string => typeof found === 'string' && found !== ''),
    boolean: (key) => typed(key, 'true or false', (found): found is boolean => typeof found === 'boolean'),
    oneOf: <const Word extends string>(key: string, words: readonly Word[]) =>
      typed(
        key,
        `one of ${words.map((word) => `'${word}'`).join(', ')}`,
        (found): found is Word => typeof found === 'string' && words.some((word) => word === found),
      ),
    callback: (key) =>
      typed(key, 'a function', (found): found is (...args: never[]) => unknown => typeof found === 'function'),
    bag: (key, nested) => openOptionBag(pathOf(key), values[key], nested),
  };
}

/** Keys, anywhere in a path, whose values may let somebody in, however they are misspelt around it. */
const secretKeys = /pass|pwd|secret|token|credential|auth|(?:^|[.\]])(?:key|cert|ca)$|key$/i;

/** Shows the value found at `path` in a message: short, and nothing that may be a secret. */
export function showValue(value: unknown, path: string): string {
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object' && value !== null) {
    const keys = Object.keys(value).slice(0, 8);
    return `an object with ${keys.length === 0 ? 'no keys' : keys.map((key) => redactText(key)).join(', ')}`;
  }
  if (secretKeys.test(path) && value !== undefined && value !== null) return `a ${typeof value} that is not shown`;
  if (typeof value !== 'string') return String(value);
  const shown = redactText(value);
  return shown.length > 80 ? `${JSON.stringify(shown.slice(0, 80))}…` : JSON.stringify(shown);
}
