import { randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { fileErrorCode } from './file-error.js';

/**
 * What is known of a process that left something behind: a partial blob, a name in a daemon.
 *
 * - `self`: this process
 * - `alive`: another one, and it runs
 * - `dead`: proved by the kernel: nobody can be writing
 * - `unknown`: it cannot be asked about (another container, another machine, another boot, no /proc); of a file its age can
 *   tell, of a name in a daemon whether its relay is gone
 */
export type OwnerState = 'self' | 'alive' | 'dead' | 'unknown';

/** `<pid>-<start>-<boot>-<pid namespace>`; a start of 0 stands for a system without /proc, whose third part is random. */
const ownerPattern = /^(\d{1,10})-(\d{1,20})-([a-f0-9]{12})-(\d{1,20})$/;

let own: string | undefined;

/**
 * This process, in words that fit into a file name and that no other process has:
 * a pid alone would come back in another process, another boot or another container.
 */
export function ownOwner(): string {
  own ??= provableOwner() ?? `${process.pid}-0-${randomBytes(6).toString('hex')}-0`;
  return own;
}

export function isOwner(text: string): boolean {
  return ownerPattern.test(text);
}

/** What is known of the owner that a file name tells. */
export function ownerState(owner: string): OwnerState {
  if (owner === ownOwner()) return 'self';
  const theirs = ownerPattern.exec(owner);
  const ours = ownerPattern.exec(ownOwner());
  if (theirs === null || ours === null || theirs[2] === '0' || ours[2] === '0') return 'unknown';
  // Their pid means something here only within one boot and one pid namespace.
  if (theirs[3] !== ours[3] || theirs[4] !== ours[4]) return 'unknown';
  const pid = Number(theirs[1]);
  if (!exists(pid)) return 'dead';
  const now = readStat(String(pid));
  // /proc may be mounted so that it hides other users' processes; what exists but cannot be read is taken for alive.
  if (now === null) return 'alive';
  return now.start === theirs[2] && !now.ended ? 'alive' : 'dead';
}

function provableOwner(): string | null {
  try {
    // Where /proc belongs to another pid namespace, it would answer for the wrong processes.
    if (readlinkSync('/proc/self') !== String(process.pid)) return null;
    const namespace = /\[(\d+)\]/.exec(readlinkSync('/proc/self/ns/pid'))?.[1];
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').replaceAll('-', '').slice(0, 12);
    const start = readStat('self')?.start;
    if (namespace === undefined || start === undefined || start === '0') return null;
    const owner = `${process.pid}-${start}-${boot}-${namespace}`;
    return isOwner(owner) ? owner : null;
  } catch {
    return null;
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return fileErrorCode(error) !== 'ESRCH';
  }
}

/** @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html fields 3 and 22 */
function readStat(pid: string): { readonly start: string; readonly ended: boolean } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command's name, the second field, may itself hold spaces and brackets.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [state, start] = [fields[0], fields[19]];
    if (state === undefined || start === undefined) return null;
    // A zombie has no open files left; its parent just has not asked yet.
    return { start, ended: state === 'Z' || state === 'X' || state === 'x' };
  } catch {
    return null;
  }
}
