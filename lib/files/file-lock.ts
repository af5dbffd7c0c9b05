import pRetry from 'p-retry';
import { fileErrorCode } from './file-error.js';

/** A holder that was killed, or gave no sign of life for this long, has lost the lock: a few seconds after `kill -9`. */
const staleMs = 5_000;

/** How often a holder gives a sign of life. */
const signOfLifeMs = 1_000;

/** Waiters ask again after 10 ms at first, at most 250 ms later: a hundred times are some 20 s. */
const waiting = { minTimeout: 10, maxTimeout: 250, factor: 1.3, randomize: true } as const;

/** A lock that another one took for stale vanishes under its maker; a directory that is gone looks the same, for ever. */
const vanishedTries = 3;

/** How a lock is waited for, and lost. */
export interface FileLockOptions {
  /** How often it is asked for again while others hold it. */
  readonly retries: number;
  /** Told that somebody else may hold it by now: this process was late, or the lock was removed. */
  readonly onLost?: (error: Error) => void;
}

/**
 * Takes a lock across processes: the directory `path`, made while it is held. Resolves to what gives it back, which
 * never rejects.
 *
 * It can be lost by mere lateness: a suspended process wakes up and still believes in it. So it keeps others away, and
 * does not prove by itself that nobody else has written.
 *
 * @throws an Error with code `ELOCKED` when others held it all the time; at once what no waiting mends
 */
export async function takeFileLock(path: string, options: FileLockOptions): Promise<() => Promise<void>> {
  // Loaded when first needed: it installs exit hooks, which a process that writes nothing should not get.
  const { lock } = await import('proper-lockfile');
  const take = (): Promise<() => Promise<void>> =>
    lock(path, {
      lockfilePath: path,
      realpath: false,
      stale: staleMs,
      update: signOfLifeMs,
      // Without one it would throw, from a timer.
      onCompromised: (error) => options.onLost?.(error),
    });
  // The package's own retries would also repeat what no waiting mends: a read-only disk would be told a minute late.
  const unlock = await pRetry(take, {
    ...waiting,
    retries: options.retries,
    shouldRetry: ({ error, attemptNumber }) => {
      const code = fileErrorCode(error);
      return code === 'ELOCKED' || (code === 'ENOENT' && attemptNumber <= vanishedTries);
    },
  });
  return async () => {
    // A lock lost meanwhile is no longer ours to give back.
    await unlock().catch(() => {});
  };
}
