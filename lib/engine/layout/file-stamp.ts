import type { BigIntStats } from 'node:fs';
import { epochMs } from '../../clock/time.js';

/**
 * A file changed within one tick of the file system's clock can look like the one before: what is that young is read
 * again. Ticks are some milliseconds, seconds on few file systems.
 */
const settledAfterMs = 2_500;

/** What tells one state of a file from another; null when it is too young for that. */
export function fileStampOf({ ino, size, mtimeMs, mtimeNs, ctimeMs, ctimeNs }: BigIntStats): string | null {
  const changedAtMs = Number(mtimeMs > ctimeMs ? mtimeMs : ctimeMs);
  if (epochMs() - changedAtMs < settledAfterMs) return null;
  return [ino, size, mtimeNs, ctimeNs].join(' ');
}
