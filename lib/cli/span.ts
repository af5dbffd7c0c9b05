import { InvalidArgumentError } from 'commander';

/** More is a mistake of the unit. */
const longestMs = 366 * 86_400_000;

const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Reads a stretch of time as people type it, `90s`, `30m`, `1h30m`, `2d`, in milliseconds. @throws InvalidArgumentError */
export function parseSpan(text: string): number {
  if (!/^(?:\d{1,9}[smhd])+$/.test(text)) {
    throw new InvalidArgumentError('It must be a time such as 90s, 30m, 2h, 1h30m or 2d.');
  }
  const spanMs = [...text.matchAll(/(\d+)([smhd])/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * (unitMs[unit ?? ''] ?? 0),
    0,
  );
  if (spanMs < 1 || spanMs > longestMs)
    throw new InvalidArgumentError('It must be longer than nothing, and at most 366d.');
  return spanMs;
}

/** `in 1 h 59 min`, `20 min ago`, `now`: as exactly as a person needs it. */
export function showDistance(atMs: number, nowMs: number): string {
  const seconds = Math.round(Math.abs(atMs - nowMs) / 1_000);
  if (seconds === 0) return 'now';
  const shown = showSeconds(seconds);
  return atMs > nowMs ? `in ${shown}` : `${shown} ago`;
}

function showSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} days`;
}
