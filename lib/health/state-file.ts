import { randomBytes } from 'node:crypto';
import { renameSync, statSync, type BigIntStats } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readBoundedFile } from '../files/bounded-file.js';
import { syncDirectory, writeDurably } from '../files/durable-file.js';
import { unlessMissing } from '../files/file-error.js';
import { takeFileLock } from '../files/file-lock.js';
import { createLog } from '../log/log.js';
import type { DocumentKind, StateDocument } from './state-document.js';

const log = createLog('state');

/** No document of this library comes near it; a file that does is not one of ours, and would fill the memory. */
const maxFileBytes = 32 * 1024 * 1024;

/** Some 20 s: what is kept is not worth a longer wait, and `close()` waits for it. */
const lockRetries = 100;

/** How often an update starts again because somebody who had lost the lock wrote or swept all the same. */
const maxOvertaken = 5;

/** Which file was read: a replaced one has another inode. */
interface FileVersion {
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  readonly modifiedAtNs: bigint;
}

interface Loaded<T> {
  readonly document: T;
  /** Null: there was no file. */
  readonly version: FileVersion | null;
  /** The file holds something else than such a document. */
  readonly isBroken: boolean;
}

/** One document in `<directory>/<name>.json`, replaced whole and never written in place. */
export function openStateFile<T>(directory: string, kind: DocumentKind<T>): StateDocument<T> {
  if (!/^[a-z0-9-]+$/.test(kind.name)) throw new TypeError(`${JSON.stringify(kind.name)} names no document`);
  const file = join(directory, `${kind.name}.json`);
  let last: Loaded<T> | null = null;
  let reading: Promise<T> | null = null;
  let updates: Promise<unknown> = Promise.resolve();
  let isSwept = false;

  /** What is on disk; `last` itself while the file is the same. */
  async function load(): Promise<Loaded<T>> {
    const version = versionOf(file);
    if (last !== null && isSameVersion(last.version, version)) return last;
    const found = version === null ? null : await unlessMissing(readBoundedFile(file, maxFileBytes));
    if (found === null) return { document: kind.empty, version: null, isBroken: false };
    if (found.kind === 'not-a-file') throw new Error('it is not a file');
    const { stats } = found;
    if (found.kind === 'too-large') return broken(stats, `it holds more than ${maxFileBytes} bytes`);
    try {
      return { document: kind.parse(JSON.parse(found.text)), version: toVersion(stats), isBroken: false };
    } catch (error) {
      return broken(stats, messageOf(error));
    }
  }

  function broken(stats: BigIntStats, why: string): Loaded<T> {
    log(null, 'a state file is broken and counts as empty', { file, why });
    return { document: kind.empty, version: toVersion(stats), isBroken: true };
  }

  async function read(): Promise<T> {
    try {
      last = await load();
    } catch (error) {
      log(null, 'a state file cannot be read', { file, why: messageOf(error) });
    }
    return last?.document ?? kind.empty;
  }

  async function update(change: (kept: T) => T): Promise<T | null> {
    let release: (() => Promise<void>) | null = null;
    try {
      await mkdir(directory, { recursive: true });
      release = await takeFileLock(`${file}.lock`, {
        retries: lockRetries,
        // What a lost lock means is decided before the file is replaced.
        onLost: (error) => log(null, 'the lock of a state file was lost', { file, why: messageOf(error) }),
      });
      await sweep();
      for (let round = 0; round < maxOvertaken; round += 1) {
        const written = await replace(change);
        if (written !== null) {
          last = written;
          // A read that began before does not know of it.
          reading = null;
          return written.document;
        }
      }
      throw new Error(`others came between ${maxOvertaken} times while it was locked`);
    } catch (error) {
      log(null, 'a state file cannot be written', { file, why: messageOf(error) });
      return null;
    } finally {
      await release?.();
    }
  }

  /** Returns null when another process came between: it replaced the file, or swept away what was to replace it. */
  async function replace(change: (kept: T) => T): Promise<Loaded<T> | null> {
    const found = await load();
    const document = change(found.document);
    const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
    try {
      await writeDurably(temporary, `${JSON.stringify(kind.format(document))}\n`);
      const version = versionOf(temporary);
      // A process that was suspended and lost its lock finds out here, in the instant before it would do harm. What it
      // wrote may be gone: it looked like what a killed one left.
      if (version === null || !isSameVersion(versionOf(file), found.version)) {
        await rm(temporary, { force: true });
        return null;
      }
      // Not before: it would be the file of another one that has set the broken one aside by now.
      if (found.isBroken) renameSync(file, `${file}.broken`);
      renameSync(temporary, file);
      await syncDirectory(directory);
      return { document, version, isBroken: false };
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {});
      throw error;
    }
  }

  /**
   * Removes what a process left that was killed while it wrote: under the lock nobody else is writing, and who has lost
   * it begins again.
   */
  async function sweep(): Promise<void> {
    if (isSwept) return;
    isSwept = true;
    for (const name of await readdir(directory)) {
      if (name.startsWith(`${kind.name}.json.`) && name.endsWith('.tmp'))
        await rm(join(directory, name), { force: true });
    }
  }

  return {
    read: () => {
      // A thousand pulls that begin at once look once.
      if (reading !== null) return reading;
      const begun = read().finally(() => {
        if (reading === begun) reading = null;
      });
      reading = begun;
      return begun;
    },
    update: (change) => {
      const done = updates.then(() => update(change));
      updates = done;
      return done;
    },
  };
}

function versionOf(file: string): FileVersion | null {
  const stats = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? null : toVersion(stats);
}

function toVersion(stats: BigIntStats): FileVersion {
  return { inode: stats.ino, sizeBytes: stats.size, modifiedAtNs: stats.mtimeNs };
}

function isSameVersion(one: FileVersion | null, other: FileVersion | null): boolean {
  return (
    one?.inode === other?.inode && one?.sizeBytes === other?.sizeBytes && one?.modifiedAtNs === other?.modifiedAtNs
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
