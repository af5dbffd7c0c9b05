import { resolve } from 'node:path';
import { openStateFile } from './state-file.js';

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

/** Where state outlives this process: named documents, nothing more. */
export interface StateStore {
  document<T>(kind: DocumentKind<T>): StateDocument<T>;
}

/**
 * Keeps state as one JSON file per document in this directory, which is created when first written to, and may be
 * shared by processes of one host. With null, state is kept in memory only.
 *
 * A disk that fails is logged (`pull-failover:state`) and never fails a pull.
 */
export function openStateStore(directory: string | null): StateStore {
  if (directory === null) return { document: keepInMemory };
  const path = resolve(directory);
  return { document: (kind) => openStateFile(path, kind) };
}

function keepInMemory<T>(kind: DocumentKind<T>): StateDocument<T> {
  let kept = kind.empty;
  return {
    read: () => Promise.resolve(kept),
    update: (change) => {
      kept = change(kept);
      return Promise.resolve(kept);
    },
  };
}
