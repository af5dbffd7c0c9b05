import { watch, type BigIntStats, type FSWatcher } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { epochMs, monotonicMs } from '../../clock/time.js';
import { fileErrorCode } from '../../files/file-error.js';
import { fileState, stampOf } from '../../files/file-state.js';
import { createLog } from '../../log/log.js';
import { readControlFile } from './control-file.js';
import type { Controls } from './controls.js';

const log = createLog('health');

/** One look is one question to the file system; where that tells nothing (NFS, FUSE), a switch holds a second later. */
const pollMs = 1_000;

/** One replacement of a file is several changes of its directory. */
const calmMs = 20;

/**
 * A file that is copied over is broken for a moment, one that is replaced by hand is missing for one. Also how long a
 * file may change without its times showing it.
 */
const settleMs = 250;

/** A control file that is followed. Keeps no process alive. */
export interface FollowedFile {
  /** Resolves when what the file says now is in force, or it was found to be of no use. Never rejects. */
  look(): Promise<void>;
  /** Ends it; what was said stays in force. */
  close(): void;
}

/**
 * Keeps to what a control file says: at once, and whenever it changes. A missing one says nothing. A broken one is
 * refused once, in words, and what it said before stays in force.
 */
export function followControlFile(path: string, controls: Pick<Controls, 'takeFile' | 'refuseFile'>): FollowedFile {
  const file = resolve(path);
  const directory = dirname(file);
  /** What the file was when it was dealt with; undefined: it has to be read whatever it is. */
  let dealtWith: string | null | undefined;
  /** What is no state, and may be one in a moment. */
  let doubt: { readonly about: string; readonly sinceMs: number } | null = null;
  let isBegun = false;
  let isClosed = false;
  let running: Promise<void> | null = null;
  let next: Promise<void> | null = null;
  let soon: { readonly timeout: NodeJS.Timeout; readonly atMs: number } | null = null;
  /** What was refused last: told once. */
  let refused: string | null = null;
  let watched: { readonly watcher: FSWatcher; readonly inode: bigint } | null = null;

  /** A look that has begun may have missed what was written since: whoever asks meanwhile shares the next one. */
  function look(): Promise<void> {
    if (isClosed) return Promise.resolve();
    if (running === null) {
      running = lookOnce()
        .catch((error: unknown) => log(null, 'a control file cannot be followed', { file, why: String(error) }))
        .finally(() => {
          running = null;
        });
      return running;
    }
    next ??= running.then(() => {
      next = null;
      return look();
    });
    return next;
  }

  async function lookOnce(): Promise<void> {
    try {
      if (dealtWith !== undefined && stampOf(await fileState(file)) === dealtWith) {
        doubt = null;
        return;
      }
    } catch {
      // Reading it will tell why.
    }
    const found = await readControlFile(file);
    if (isClosed) return;
    switch (found.kind) {
      case 'read':
        take(found.controls, found.stats);
        break;
      case 'missing':
        if (!isBegun || isSettled('missing')) {
          dealtWith = null;
          doubt = null;
          refused = null;
          controls.takeFile({ path: file, controls: [], modifiedAtMs: epochMs() });
        }
        break;
      case 'refused':
        if (isSettled(`${stampOf(found.stats)} ${found.problem}`)) refuse(found.problem, found.stats);
    }
    isBegun = true;
  }

  function take(found: Parameters<Controls['takeFile']>[0]['controls'], stats: BigIntStats): void {
    const modifiedAtMs = Number(stats.mtimeMs);
    doubt = null;
    refused = null;
    dealtWith = stampOf(stats);
    if (Math.abs(epochMs() - modifiedAtMs) < settleMs) {
      dealtWith = undefined;
      lookAfter(settleMs);
    }
    controls.takeFile({ path: file, controls: found, modifiedAtMs });
  }

  function refuse(problem: string, stats: BigIntStats | null): void {
    if (stats !== null) dealtWith = stampOf(stats);
    if (refused === problem) return;
    refused = problem;
    controls.refuseFile(`The control file ${file} is refused, and what it said before stays in force: ${problem}`);
  }

  /** Whether it has been so for a while. */
  function isSettled(about: string): boolean {
    const nowMs = monotonicMs();
    if (doubt?.about !== about) doubt = { about, sinceMs: nowMs };
    const leftMs = doubt.sinceMs + settleMs - nowMs;
    if (leftMs <= 0) return true;
    lookAfter(Math.ceil(leftMs));
    return false;
  }

  /** The earliest wish counts: in a busy directory a wait that begins again would never end. */
  function lookAfter(ms: number): void {
    const atMs = monotonicMs() + ms;
    if (isClosed || (soon !== null && soon.atMs <= atMs)) return;
    if (soon !== null) clearTimeout(soon.timeout);
    const timeout = setTimeout(() => {
      soon = null;
      void look();
    }, ms);
    timeout.unref();
    soon = { timeout, atMs };
  }

  /** A directory that was replaced tells nothing any more. */
  async function watchDirectory(): Promise<void> {
    const inode = (await fileState(directory).catch(() => null))?.ino ?? null;
    if (isClosed || inode === watched?.inode) return;
    watched?.watcher.close();
    watched = null;
    if (inode === null) return;
    try {
      const watcher = watch(directory, { persistent: false }, () => lookAfter(calmMs));
      // Looking every second goes on.
      watcher.on('error', (error) => {
        log(null, 'a control file is no longer watched', { file, why: String(error) });
        watcher.close();
        if (watched?.watcher === watcher) watched = null;
      });
      watched = { watcher, inode };
    } catch (error) {
      log(null, 'a control file cannot be watched', { file, why: fileErrorCode(error) ?? 'unknown' });
    }
  }

  const poll = setInterval(() => {
    void look();
    void watchDirectory();
  }, pollMs);
  poll.unref();
  void watchDirectory();
  void look();

  return {
    look,
    close: () => {
      isClosed = true;
      clearInterval(poll);
      if (soon !== null) clearTimeout(soon.timeout);
      watched?.watcher.close();
      watched = null;
    },
  };
}
