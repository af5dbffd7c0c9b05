import type { BigIntStats } from 'node:fs';
import { epochMs } from '../../clock/time.js';
import { stampOf } from '../../files/file-state.js';

/**
 * A file changed within one tick of the file system's clock can look like the one before: what is that young is read
 * again. Ticks are some milliseconds, seconds on few file systems.
 */
const settledAfterMs = 2_500;

/** What tells one state of a file from another; null when it is too young for that. */
export function settledStampOf(state: BigIntStats): string | null {
  const { mtimeMs, ctimeMs } = state;
  const changedAtMs = Number(mtimeMs > ctimeMs ? mtimeMs : ctimeMs);
  return epochMs() - changedAtMs < settledAfterMs ? null : stampOf(state);
}
