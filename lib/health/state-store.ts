import { resolve } from 'node:path';
import type { DocumentKind, StateDocument } from './state-document.js';
import { openStateFile } from './state-file.js';

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
