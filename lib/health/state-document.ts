import { isObject } from '../image/json-object.js';

/** What one document of the state is, and how it is written. */
export interface DocumentKind<T> {
  /** Lower-case letters, digits and `-`: the file is called `<name>.json`. */
  readonly name: string;
  /** What is kept before anything was. */
  readonly empty: T;
  /** Reads what `format` wrote; throws for anything else, and the file is set aside. */
  readonly parse: (value: unknown) => T;
  /** Returns something that JSON can carry. */
  readonly format: (document: T) => unknown;
}

/** One document. Other processes may keep the same one. */
export interface StateDocument<T> {
  /** What is kept now. Never rejects: what cannot be read counts as what was read last, else as empty. */
  read(): Promise<T>;
  /**
   * Replaces what is kept by `change` of it; no change of another process in between is lost.
   * Never rejects: resolves to what is kept from now on, or to null where it could not be written.
   * `change` may be called again when another process was faster.
   */
  update(change: (kept: T) => T): Promise<T | null>;
}

/** For `parse`: a part of a document that must be an object. @throws TypeError */
export function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (!isObject(value)) throw new TypeError('it is not an object');
  return value;
}
