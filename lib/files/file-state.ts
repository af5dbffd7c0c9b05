import { stat, type BigIntStats } from 'node:fs';
import { unlessMissing } from './file-error.js';

/**
 * What the file system says of a file, or null where there is none. Asked by callback: Node's promises take twice as
 * much CPU for it, and of a thousand pulls at once this is most of the work.
 */
export function fileState(path: string): Promise<BigIntStats | null> {
  return unlessMissing(
    new Promise((resolve, reject) => {
      stat(path, { bigint: true }, (error, found) => {
        if (error === null) resolve(found);
        else reject(error);
      });
    }),
  );
}

/** What tells one state of a file from another; null where there is none. Times of its inode too: a copying tool may keep the others. */
export function stampOf(state: BigIntStats): string;
export function stampOf(state: BigIntStats | null): string | null;
export function stampOf(state: BigIntStats | null): string | null {
  return state === null ? null : [state.dev, state.ino, state.size, state.mtimeNs, state.ctimeNs].join(' ');
}
