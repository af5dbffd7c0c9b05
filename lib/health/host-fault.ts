import type { Evidence } from '../vocabulary/evidence.js';

/** System errors that say something about this host's disk, file system or process, wherever they surface. */
const hostErrnos: ReadonlySet<string> = new Set([
  'ENOSPC',
  'EDQUOT',
  'EFBIG',
  'EROFS',
  'EIO',
  'EMFILE',
  'ENFILE',
  'ENOMEM',
  'EACCES',
  'EPERM',
  'ENOENT',
  'ENOTDIR',
  'EISDIR',
  'ENOTEMPTY',
  'EEXIST',
  'ELOOP',
  'ENAMETOOLONG',
  'EXDEV',
  'EBUSY',
  'ESTALE',
  'ENODEV',
  'ENXIO',
  'ENOTSUP',
  'EINVAL',
]);

/** These mean the same in any system call: this process, or this host, has nothing left to go on with. */
const everywhereErrnos: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);

/** System calls of the network: a local firewall answers `connect` with EPERM, which is no disk. */
const networkCalls: ReadonlySet<string> = new Set([
  'connect',
  'getaddrinfo',
  'bind',
  'listen',
  'accept',
  'shutdown',
  'sendmsg',
  'recvmsg',
]);

/** Errors wrap errors; a chain longer than this is a circle. */
const maxDepth = 8;

/**
 * Recognises a fault of this host (a full or broken disk, no rights, no file descriptors left) in a thrown value,
 * also in the `cause` of one; null when it is something else.
 */
export function evidenceOfHostError(error: unknown): Evidence | null {
  let current = error;
  for (let depth = 0; depth < maxDepth && typeof current === 'object' && current !== null; depth += 1) {
    const { code, syscall, cause } = current as { code?: unknown; syscall?: unknown; cause?: unknown };
    if (typeof code === 'string' && hostErrnos.has(code)) {
      return isOfFiles(syscall) || everywhereErrnos.has(code) ? { kind: 'disk', errno: code } : null;
    }
    current = cause;
  }
  return null;
}

/** An error without a system call was made by hand, from one with it: it is taken at its word. */
function isOfFiles(syscall: unknown): boolean {
  if (typeof syscall !== 'string') return true;
  // `spawn docker-credential-pass`: a program that is not there, while the disk is fine.
  return !networkCalls.has(syscall) && !syscall.startsWith('spawn');
}
