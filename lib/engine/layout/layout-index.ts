import { randomBytes } from 'node:crypto';
import { renameSync } from 'node:fs';
import { open, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../../errors/engine-error.js';
import type { Descriptor } from '../../image/descriptor.js';
import { syncDirectory, writeDurably } from '../../files/durable-file.js';
import { fileErrorCode, unlessMissing } from '../../files/file-error.js';
import { fileState } from '../../files/file-state.js';
import { backoffMs } from '../../policy/backoff.js';
import { sleep } from '../../policy/deadline.js';
import { emptyIndex, IndexDocumentError, parseIndex, type IndexDocument, type NamedImage } from './index-document.js';
import { settledStampOf } from './file-stamp.js';
import { shareRuns } from './shared-run.js';
import { takeIndexLock, type HeldLock } from './index-lock.js';

/** The `index.json` of one layout: read whole or not at all, changed by one writer at a time, over all processes. */
export interface LayoutIndex {
  find(name: string): Promise<Descriptor | null>;
  list(): Promise<readonly NamedImage[]>;
  /** Whether the name points there. */
  points(name: string, descriptor: Descriptor): Promise<boolean>;
  /** Points it there, durably, whatever it points to. */
  point(name: string, descriptor: Descriptor): Promise<void>;
  /** Creates an empty one where there is none. */
  create(): Promise<void>;
  /** Resolves when no update is under way. */
  settled(): Promise<void>;
}

export interface LayoutIndexOptions {
  readonly engine: string;
  readonly directory: string;
  /** A directory on the same file system, for what readers of the layout need not see. */
  readonly workDirectory: string;
  /** Default: `takeIndexLock`. */
  readonly takeLock?: (directory: string) => Promise<HeldLock>;
}

interface Change {
  readonly apply: (index: IndexDocument) => IndexDocument;
  done(): void;
  failed(error: unknown): void;
}

/** Losing the lock takes a pause of seconds at the wrong moment; that many in a row is a broken file system. */
const maxTries = 5;

/** A write takes some milliseconds, on a slow disk some tens. */
const lostPauseMs = { baseMs: 20, maxMs: 500 };

const temporaryPrefix = 'index-';

export function createLayoutIndex(options: LayoutIndexOptions): LayoutIndex {
  const { engine, directory, workDirectory, takeLock = takeIndexLock } = options;
  const path = join(directory, 'index.json');
  let latest: { readonly stamp: string | null; readonly index: IndexDocument } | null = null;
  let waiting: Change[] = [];
  let writing: Promise<void> | null = null;

  /** Null where there is none. Never an older one than there is now: it is what the next one is made from. */
  async function readNow(): Promise<IndexDocument | null> {
    const handle = await unlessMissing(open(path, 'r'));
    if (handle === null) return null;
    try {
      const stamp = settledStampOf(await handle.stat({ bigint: true }));
      const text = await handle.readFile('utf8');
      latest = { stamp, index: text === latest?.index.text ? latest.index : parse(text) };
      return latest.index;
    } finally {
      await handle.close();
    }
  }

  /** The same, without reading what has not changed: a thousand pulls look into a layout of a thousand images. */
  const read = shareRuns(readWhatChanged);

  async function readWhatChanged(): Promise<IndexDocument | null> {
    if (latest === null || latest.stamp === null) return readNow();
    const found = await fileState(path);
    if (found === null) return null;
    return settledStampOf(found) === latest.stamp ? latest.index : readNow();
  }

  function parse(text: string): IndexDocument {
    try {
      return parseIndex(text);
    } catch (error) {
      if (!(error instanceof IndexDocumentError)) throw error;
      throw new EngineError(engine, `${path} ${error.message}; nothing was changed`, error);
    }
  }

  function change(apply: Change['apply']): Promise<void> {
    return new Promise((done, failed) => {
      waiting.push({ apply, done, failed });
      writing ??= writeAll().finally(() => {
        writing = null;
      });
    });
  }

  /** Whatever has gathered while one write was under way goes into the next one. */
  async function writeAll(): Promise<void> {
    while (waiting.length > 0) {
      const changes = waiting;
      waiting = [];
      try {
        await write(changes);
        for (const one of changes) one.done();
      } catch (error) {
        for (const one of changes) one.failed(error);
      }
    }
  }

  async function write(changes: readonly Change[]): Promise<void> {
    for (let tries = 0; tries < maxTries; tries += 1) {
      // Whoever has the lock now may be at work: two that took it from each other at once would never get to write.
      if (tries > 0) await sleep(backoffMs(tries, lostPauseMs));
      const lock = await takeLock(workDirectory).catch((error: unknown) => {
        if (fileErrorCode(error) !== 'ELOCKED') throw error;
        throw new EngineError(engine, `other processes kept ${path} locked for a minute`, error);
      });
      try {
        const before = await readNow();
        const after = changes.reduce((index, { apply }) => apply(index), before ?? parseIndex(emptyIndex));
        if (after === before || (await replace(after.text, lock.isOurs))) return;
      } finally {
        await lock.release();
      }
    }
    throw new EngineError(engine, `the lock of ${path} was lost ${maxTries} times in a row`);
  }

  /** Whether it was replaced; not when the lock was lost meanwhile. */
  async function replace(text: string, isOurs: () => boolean): Promise<boolean> {
    await removeLeftovers(isOurs);
    const temporary = join(workDirectory, `${temporaryPrefix}${randomBytes(8).toString('hex')}`);
    try {
      await writeDurably(temporary, text);
      // In one turn: between an asynchronous question and its answer another process could take the lock and write.
      if (!isOurs()) {
        await unlink(temporary).catch(() => {});
        return false;
      }
      renameSync(temporary, path);
    } catch (error) {
      await unlink(temporary).catch(() => {});
      // Another holder took it for a leftover: the one that has the lock now, or one that has lost it and does not know
      // yet. Where a directory is gone instead, the next try to take the lock says so.
      if (fileErrorCode(error) === 'ENOENT') return false;
      throw error;
    }
    await syncDirectory(directory);
    return true;
  }

  /** What a killed process left; nobody else writes here while the lock is held. */
  async function removeLeftovers(isOurs: () => boolean): Promise<void> {
    for (const name of await readdir(workDirectory)) {
      if (name.startsWith(temporaryPrefix) || name.startsWith('index.holder.')) {
        // After a pause they may be the next holder's.
        if (!isOurs()) return;
        await unlessMissing(unlink(join(workDirectory, name)));
      }
    }
  }

  return {
    find: async (name) => (await read())?.find(name) ?? null,
    list: async () => (await read())?.images() ?? [],
    points: async (name, descriptor) => {
      const index = await read();
      return index !== null && index.point(name, descriptor) === index;
    },
    point: (name, descriptor) => change((current) => current.point(name, descriptor)),
    create: async () => {
      if ((await fileState(path)) === null) await change((index) => index);
    },
    settled: async () => {
      while (writing !== null) await writing;
    },
  };
}
