/** `3.4 MB`: three digits are enough for a person, in powers of 1000 as registries count. */
export { bytesInWords as showBytes } from '../incidents/incident-words.js';

/** `0.8 s`, `3 min 20 s`. */
export function showMs(ms: number): string {
  const seconds = ms / 1_000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

/** `1 image`, `2 images`. */
export function showCount(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
