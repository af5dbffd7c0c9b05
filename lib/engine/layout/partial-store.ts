import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, lstat, mkdir, open, readdir, rename, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { epochMs } from '../../clock/time.js';
import { digestAlgorithm, digestHex } from '../../image/digest.js';
import type { Digest } from '../../vocabulary/digest.js';
import { fileErrorCode, isOutOfRoom, unlessMissing } from '../../files/file-error.js';
import { isOwner, ownerState, ownOwner } from '../../files/process-owner.js';
import { shareRuns } from './shared-run.js';

/** A partial blob that only its holder writes. */
export interface Partial {
  readonly digest: Digest;
  readonly path: string;
  readonly handle: FileHandle;
  /** Bytes an earlier writer left. */
  readonly kept: number;
}

/** What partial blobs may take; checked when one is claimed and when one is kept. */
export interface PartialLimits {
  readonly maxBytes: number;
  readonly maxAgeMs: number;
}

/** Blobs on their way, in one directory, shared with other processes. */
export interface PartialStore {
  /** Takes over what an earlier writer left of this blob, else begins an empty one. */
  claim(digest: Digest, sizeBytes: number): Promise<Partial>;
  /** An empty one, whatever others have left. */
  create(digest: Digest): Promise<Partial>;
  /** Closes it and leaves it for a later `claim`, of any process. */
  keep(partial: Partial): Promise<void>;
  /** Closes it and forgets its bytes. */
  discard(partial: Partial): Promise<void>;
  /** Removes what nobody writes any more of a blob that is complete. */
  forget(digest: Digest): Promise<void>;
  /** Removes idle partials, oldest first, until this many bytes are free; returns how many were. */
  reclaim(bytes: number): Promise<number>;
  /** Runs `work`, and when the disk is full once more after idle partials have made room for `bytes`. */
  withRoom<T>(bytes: number, work: () => Promise<T>): Promise<T>;
  /** Enforces the limits. */
  sweep(): Promise<void>;
  /** Tells the processes that cannot see ours that this one is still being written. */
  touch(partial: Partial): Promise<void>;
}

/** How often a partial in use is touched. */
export const touchEveryMs = 10_000;

/**
 * A partial whose owner cannot be asked about counts as left behind when it was not touched for this long:
 * six touches missed. Its owner may still wake up, so its bytes are copied, never shared.
 */
export const untouchedMs = 60_000;

/** The third part of a name, when nobody writes it. */
const keptMark = 'kept';

interface Found {
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** `take`: rename it, nobody writes it; `copy`: its owner may wake up; `in-use`: leave it alone. */
  readonly use: 'take' | 'copy' | 'in-use';
  readonly sound: boolean;
}

export function createPartialStore(directory: string, limits: PartialLimits): PartialStore {
  const newPath = (digest: Digest): string =>
    join(directory, `${stem(digest)}.${randomBytes(8).toString('hex')}.${ownOwner()}`);

  async function names(): Promise<readonly string[]> {
    return (await unlessMissing(readdir(directory))) ?? [];
  }

  async function look(name: string): Promise<Found | null> {
    const mark = markOf(name);
    if (mark === null) return null;
    const path = join(directory, name);
    const owner = mark === keptMark ? 'dead' : ownerState(mark);
    const stat = await unlessMissing(lstat(path));
    if (stat === null) return null;
    const untouched = epochMs() - stat.mtimeMs > untouchedMs;
    return {
      path,
      sizeBytes: stat.size,
      modifiedMs: stat.mtimeMs,
      use: owner === 'dead' ? 'take' : owner === 'unknown' && untouched ? 'copy' : 'in-use',
      // A link planted here would make us write somewhere else.
      sound: stat.isFile() && stat.nlink === 1 && stat.size > 0 && epochMs() - stat.mtimeMs <= limits.maxAgeMs,
    };
  }

  async function findAll(of?: Digest): Promise<Found[]> {
    const found: Found[] = [];
    for (const name of await names()) {
      if (of !== undefined && !name.startsWith(`${stem(of)}.`)) continue;
      const one = await look(name);
      if (one !== null) found.push(one);
    }
    return found;
  }

  async function create(digest: Digest): Promise<Partial> {
    await mkdir(directory, { recursive: true });
    const path = newPath(digest);
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0);
    return { digest, path, handle: await open(path, flags, 0o644), kept: 0 };
  }

  /** Null when somebody else was faster. */
  async function adopt(digest: Digest, sizeBytes: number, found: Found): Promise<Partial | null> {
    const path = newPath(digest);
    try {
      if (found.use === 'take') {
        await rename(found.path, path);
      } else {
        await copyFile(found.path, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
        await removeFile(found.path);
      }
    } catch (error) {
      if (found.use === 'copy') await removeFile(path).catch(() => {});
      if (fileErrorCode(error) === 'ENOENT') return null;
      throw error;
    }
    try {
      const handle = await open(path, constants.O_RDWR | (constants.O_NOFOLLOW ?? 0));
      const { size } = await handle.stat();
      if (size <= sizeBytes) return { digest, path, handle, kept: size };
      await handle.close();
      await removeFile(path);
      return null;
    } catch (error) {
      await rename(path, keptPath(path)).catch(() => {});
      throw error;
    }
  }

  async function sweepOnce(): Promise<void> {
    const found = await findAll();
    for (const one of found) {
      if (one.use !== 'in-use' && !one.sound) await removeFile(one.path);
    }
    const staying = found.filter((one) => one.use === 'in-use' || one.sound);
    let total = staying.reduce((sum, one) => sum + one.sizeBytes, 0);
    for (const one of oldestFirst(staying)) {
      if (total <= limits.maxBytes) return;
      await removeFile(one.path);
      total -= one.sizeBytes;
    }
  }

  const store: PartialStore = {
    claim: async (digest, sizeBytes) => {
      const left = (await findAll(digest)).filter((one) => one.use !== 'in-use');
      for (const one of left.toSorted((a, b) => b.sizeBytes - a.sizeBytes)) {
        if (!one.sound || one.sizeBytes > sizeBytes) {
          await removeFile(one.path);
          continue;
        }
        const adopted = await adopt(digest, sizeBytes, one);
        if (adopted !== null) return adopted;
      }
      return create(digest);
    },
    create,
    keep: async (partial) => {
      const { size } = await partial.handle.stat();
      await partial.handle.close();
      if (size === 0) await removeFile(partial.path);
      else await rename(partial.path, keptPath(partial.path));
      await store.sweep();
    },
    discard: async (partial) => {
      await partial.handle.close();
      await removeFile(partial.path);
    },
    forget: async (digest) => {
      for (const one of await findAll(digest)) {
        if (one.use !== 'in-use') await removeFile(one.path);
      }
    },
    reclaim: async (bytes) => {
      let freed = 0;
      for (const one of oldestFirst(await findAll())) {
        if (freed >= bytes) break;
        if (await removeFile(one.path)) freed += one.sizeBytes;
      }
      return freed;
    },
    // What nobody writes is only a convenience: it goes before a pull fails.
    withRoom: async (bytes, work) => {
      try {
        return await work();
      } catch (error) {
        if (!isOutOfRoom(error) || (await store.reclaim(bytes)) === 0) throw error;
        return work();
      }
    },
    // Hundreds of blobs are let go at once: one walk through the directory serves all of them.
    sweep: shareRuns(sweepOnce),
    touch: async (partial) => {
      const now = new Date(epochMs());
      await partial.handle.utimes(now, now);
    },
  };
  return store;
}

function stem(digest: Digest): string {
  return `${digestAlgorithm(digest)}-${digestHex(digest)}`;
}

/** `kept`, the owner, or null when the name is none of ours. */
function markOf(name: string): string | null {
  const mark = /^sha(?:256|512)-[a-f0-9]+\.[a-f0-9]{16}\.([^.]+)$/.exec(name)?.[1];
  return mark !== undefined && (mark === keptMark || isOwner(mark)) ? mark : null;
}

function keptPath(path: string): string {
  return `${path.slice(0, path.lastIndexOf('.'))}.${keptMark}`;
}

function oldestFirst(found: readonly Found[]): Found[] {
  return found.filter((one) => one.use !== 'in-use').toSorted((a, b) => a.modifiedMs - b.modifiedMs);
}

/** Whether it was us who removed it. */
async function removeFile(path: string): Promise<boolean> {
  return (await unlessMissing(unlink(path).then(() => true))) ?? false;
}
