import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A real file system of a few megabytes. */
export interface SmallDisk {
  readonly path: string;
  setReadOnly(readOnly: boolean): void;
  /** Unmounts it; fails while a file on it is open. */
  remove(): void;
}

/** Whether this process may mount one. */
export function canMount(): boolean {
  try {
    mountSmallDisk(1 << 20).remove();
    return true;
  } catch {
    return false;
  }
}

export function mountSmallDisk(bytes: number): SmallDisk {
  const path = join(mkdtempSync(join(tmpdir(), 'pull-failover-disk-')), 'disk');
  mkdirSync(path);
  const run = (command: string, ...args: string[]): void => {
    execFileSync(command, args, { stdio: 'ignore' });
  };
  run('mount', '-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path);
  return {
    path,
    setReadOnly: (readOnly) => run('mount', '-o', `remount,${readOnly ? 'ro' : 'rw'}`, path),
    remove: () => {
      run('umount', path);
      rmdirSync(path);
      rmdirSync(join(path, '..'));
    },
  };
}
