import { join } from 'node:path';
import { readBoundedFile } from '../files/bounded-file.js';
import { fileErrorCode, unlessMissing } from '../files/file-error.js';
import type { DocumentKind } from '../health/state-document.js';

/** As much as a host would read. */
const maxFileBytes = 32 * 1024 * 1024;

/** A document of a state directory. */
export type FoundDocument<T> =
  | { readonly kind: 'read'; readonly document: T }
  | { readonly kind: 'missing' }
  | { readonly kind: 'broken'; readonly problem: string };

/** Reads a document as it is now, and changes nothing. A host takes a broken one for empty; a person wants to know. */
export async function readStateDocument<T>(directory: string, kind: DocumentKind<T>): Promise<FoundDocument<T>> {
  const file = join(directory, `${kind.name}.json`);
  let found;
  try {
    found = await unlessMissing(readBoundedFile(file, maxFileBytes));
  } catch (error) {
    return { kind: 'broken', problem: `${file} cannot be read (${fileErrorCode(error) ?? 'unknown'})` };
  }
  if (found === null) return { kind: 'missing' };
  if (found.kind !== 'text') return { kind: 'broken', problem: `${file} is no document of a state directory` };
  try {
    return { kind: 'read', document: kind.parse(JSON.parse(found.text)) };
  } catch {
    // What it holds may be anything.
    return { kind: 'broken', problem: `${file} is broken: hosts take it for empty` };
  }
}
