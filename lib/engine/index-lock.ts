import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pRetry from 'p-retry';
import { fileErrorCode } from './file-error.js';

/** The right to replace a file that several processes replace. */
export interface HeldLock {
  /** Whether nobody has taken the lock since; synchronous, so that what follows it in the same turn is covered. */
  isOurs(): boolean;
  release(): Promise<void>;
}

/** A holder that was killed, or gave no sign of life for this long, has lost the lock: a few seconds after `kill -9`. */
const staleMs = 5_000;

/** Waiters ask again after 10 ms at first, at most 250 ms later, and give up after about a minute. */
const waiting = { retries: 300, minTimeout: 10, maxTimeout: 250, factor: 1.3, randomize: true } as const;

/** A lock that another one took for stale vanishes under its maker; a directory that is gone looks the same, for ever. */
const vanishedTries = 3;

/**
 * Locks across processes, inside `directory`.
 *
 * A lock that can be lost by mere lateness (a suspended process wakes up and still believes in it) does not protect
 * a file by itself. So each holder writes a token of its own before it reads what it will replace, and looks whether
 * the token is still there in the instant in which it replaces it.
 *
 * @throws an Error with code `ELOCKED` when others held it all the time
 */
export async function takeIndexLock(directory: string): Promise<HeldLock> {
  // Loaded when first needed: it installs exit hooks, which a process that writes no layout should not get.
  const { lock } = await import('proper-lockfile');
  const take = (): Promise<() => Promise<void>> =>
    lock(directory, {
      lockfilePath: join(directory, 'index.lock'),
      realpath: false,
      stale: staleMs,
      update: 1_000,
      // The token tells, and at the one moment that matters.
      onCompromised: () => {},
    });
  // The package's own retries would also repeat what no waiting mends: a read-only disk would be told a minute late.
  const unlock = await pRetry(take, {
    ...waiting,
    shouldRetry: ({ error, attemptNumber }) => {
      const code = fileErrorCode(error);
      return code === 'ELOCKED' || (code === 'ENOENT' && attemptNumber <= vanishedTries);
    },
  });
  const holder = join(directory, 'index.holder');
  const token = randomBytes(12).toString('hex');
  try {
    await writeFile(`${holder}.${token}`, token);
    await rename(`${holder}.${token}`, holder);
  } catch (error) {
    await unlock().catch(() => {});
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
    // A lock lost meanwhile is no longer ours to give back.
    release: async () => {
      await unlock().catch(() => {});
    },
  };
}
