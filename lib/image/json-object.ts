import { redactText } from '../vocabulary/redact.js';
import { ManifestError } from './manifest-error.js';

/** An object of a manifest, read key by key; what is wrong in it is reported with its path in the document. */
export interface JsonObject {
  /** Where it is in the document: `layers[3].platform`; empty for the document itself. */
  readonly path: string;
  readonly keys: readonly string[];
  /** Whether the key is there, even with null. */
  has(key: string): boolean;
  /** The value; `undefined` when the key is absent or null, which Go's readers take for the same. */
  value(key: string): unknown;
  /** A string of at most `maxLength` characters. */
  text(key: string, maxLength: number): string | undefined;
  /** A string of printable ASCII: a word that ends up in messages and headers. */
  word(key: string): string | undefined;
  texts(key: string, maxCount: number, maxLength: number): readonly string[] | undefined;
  /** An object of strings; it has no prototype, so that no key of a peer means anything in it. */
  textMap(key: string, maxLength: number): Readonly<Record<string, string>> | undefined;
  object(key: string): JsonObject | undefined;
  objects(key: string, maxCount: number): readonly JsonObject[] | undefined;
  /** The error for a key whose value is not what it must be. */
  malformed(key: string, problem: string): ManifestError;
}

/** The key as readers in Go match it, which ignore letter case and take the long s for an s; lower case alone keeps that. */
export function foldKey(key: string): string {
  return key.replaceAll('\u017f', 's').toLowerCase();
}

/** Media types, platform words: RFC 6838 allows a media type 127 + 1 + 127 characters. */
const maxWordLength = 255;

const printable = /^[\x20-\x7e]*$/;

/** Malformed UTF-8 is an error, and a byte order mark stays and is one too, as in JSON.parse of Go. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @throws ManifestError `malformed-json` when it is no JSON, `malformed` when it is JSON but no object */
export function parseJsonObject(bytes: Uint8Array): JsonObject {
  let document: unknown;
  try {
    document = JSON.parse(utf8.decode(bytes));
  } catch (error) {
    // The parser's own message quotes the document, which may be anything; it stays in the cause.
    throw new ManifestError('malformed-json', 'The manifest is not valid JSON', 'document', error);
  }
  if (!isObject(document)) {
    throw new ManifestError('malformed', `The manifest is not a JSON object but ${shown(document)}`);
  }
  return readerOf('', document);
}

function readerOf(path: string, values: Readonly<Record<string, unknown>>): JsonObject {
  const pathOf = (key: string): string => (path === '' ? key : `${path}.${key}`);
  // Only own keys: a document cannot be completed by what something put on Object.prototype.
  const value = (key: string): unknown => (Object.hasOwn(values, key) ? (values[key] ?? undefined) : undefined);

  const malformed = (key: string, problem: string): ManifestError => {
    const named = key === '' ? path : pathOf(key);
    return new ManifestError('malformed', `The manifest is malformed: ${named} ${problem}`);
  };

  const checkedText = (key: string, found: unknown, maxLength: number): string => {
    if (typeof found !== 'string') throw malformed(key, `must be a string, got ${shown(found)}`);
    if (found.length > maxLength) throw malformed(key, `has ${found.length} characters, more than ${maxLength}`);
    return found;
  };

  const checkedList = (key: string, maxCount: number): readonly unknown[] | undefined => {
    const found = value(key);
    if (found === undefined) return undefined;
    if (!Array.isArray(found)) throw malformed(key, `must be an array, got ${shown(found)}`);
    if (found.length > maxCount) {
      throw new ManifestError(
        'too-large',
        `The manifest is too large: ${pathOf(key)} has ${found.length} entries, more than ${maxCount}`,
      );
    }
    return found as readonly unknown[];
  };

  const text = (key: string, maxLength: number): string | undefined => {
    const found = value(key);
    return found === undefined ? undefined : checkedText(key, found, maxLength);
  };

  return {
    path,
    keys: Object.keys(values),
    has: (key) => Object.hasOwn(values, key),
    value,
    malformed,
    text,
    word: (key) => {
      const found = text(key, maxWordLength);
      if (found !== undefined && !printable.test(found)) throw malformed(key, 'has characters that cannot be printed');
      return found;
    },
    texts: (key, maxCount, maxLength) =>
      checkedList(key, maxCount)?.map((entry, at) => checkedText(`${key}[${at}]`, entry, maxLength)),
    textMap: (key, maxLength) => {
      const found = value(key);
      if (found === undefined) return undefined;
      if (!isObject(found)) throw malformed(key, `must be an object, got ${shown(found)}`);
      const map: Record<string, string> = Object.create(null) as Record<string, string>;
      for (const [name, entry] of Object.entries(found)) {
        checkedText(`a key of ${key}`, name, maxLength);
        map[name] = checkedText(`${key}[${shown(name)}]`, entry, maxLength);
      }
      return map;
    },
    object: (key) => {
      const found = value(key);
      if (found === undefined) return undefined;
      if (!isObject(found)) throw malformed(key, `must be an object, got ${shown(found)}`);
      return readerOf(pathOf(key), found);
    },
    objects: (key, maxCount) =>
      checkedList(key, maxCount)?.map((entry, at) => {
        if (!isObject(entry)) throw malformed(`${key}[${at}]`, `must be an object, got ${shown(entry)}`);
        return readerOf(`${pathOf(key)}[${at}]`, entry);
      }),
  };
}

/** Whether a parsed value is an object of JSON: no array, and not null. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** How much of a peer's text a message repeats. */
const maxShownLength = 80;

/** Shows a value of a peer's document in a message: short, redacted, on one line. */
export function shown(value: unknown): string {
  if (typeof value === 'string') {
    const text = redactText(value);
    return JSON.stringify(text.length > maxShownLength ? `${text.slice(0, maxShownLength)}…` : text);
  }
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  return String(value);
}
