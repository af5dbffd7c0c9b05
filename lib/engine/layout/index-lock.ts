import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileErrorCode, unlessMissing } from '../../files/file-error.js';
import { takeFileLock } from '../../files/file-lock.js';

/** The right to replace a file that several processes replace. */
export interface HeldLock {
  /** Whether nobody has taken the lock since; synchronous, so that what follows it in the same turn is covered. */
  isOurs(): boolean;
  release(): Promise<void>;
}

/** About a minute: a hundred pulls that end at once each hold it for a few milliseconds. */
const retries = 300;

/**
 * Locks across processes, inside `directory`.
 *
 * A lock that can be lost by mere lateness does not protect a file by itself. So each holder writes a token of its own
 * before it reads what it will replace, and looks whether the token is still there in the instant in which it replaces it.
 * Whoever comes too late for that gets a lock that is not its own.
 *
 * @param write writes a file; default that of Node
 * @throws an Error with code `ELOCKED` when others held it all the time
 */
export async function takeIndexLock(
  directory: string,
  write: (path: string, text: string) => Promise<void> = writeFile,
): Promise<HeldLock> {
  const release = await takeFileLock(join(directory, 'index.lock'), { retries });
  const holder = join(directory, 'index.holder');
  const token = randomBytes(12).toString('hex');
  try {
    await write(`${holder}.${token}`, token);
    // It is gone when this process was suspended here: who took the lock over has swept it away as a leftover, and the
    // token of that one, which stays, says whose the lock is.
    await unlessMissing(rename(`${holder}.${token}`, holder));
  } catch (error) {
    await release();
    throw error;
  }
  return {
    isOurs: () => {
      try {
        return readFileSync(holder, 'utf8') === token;
      } catch (error) {
        if (fileErrorCode(error) === 'ENOENT') return false;
        throw error;
      }
    },
    release,
  };
}
