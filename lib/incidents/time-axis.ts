const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** Steps that clocks have. */
const steps: readonly number[] = [
  ...[1, 2, 5, 10, 15, 30].map((count) => count * second),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * minute),
  ...[1, 2, 3, 6, 12].map((count) => count * hour),
  ...[1, 2, 7, 14, 30, 90, 365].map((count) => count * day),
];

/** More would run into each other on paper. */
const maxTicks = 8;

/** One time that is written below the drawing. */
export interface Tick {
  readonly atMs: number;
  readonly label: string;
}

/** Where times go in a drawing. */
export interface TimeAxis {
  readonly fromMs: number;
  readonly toMs: number;
  /** Times outside of it go to its ends. */
  x(atMs: number): number;
  readonly ticks: readonly Tick[];
}

/** Lays the time from `fromMs` to `toMs` over the columns from `left` to `right`. */
export function layTime(fromMs: number, toMs: number, left: number, right: number): TimeAxis {
  // Something that took no time still has a place.
  const endMs = Math.max(toMs, fromMs + second);
  const spanMs = endMs - fromMs;
  return {
    fromMs,
    toMs: endMs,
    x: (atMs) => left + ((Math.min(Math.max(atMs, fromMs), endMs) - fromMs) / spanMs) * (right - left),
    ticks: ticksOf(fromMs, endMs),
  };
}

function ticksOf(fromMs: number, toMs: number): readonly Tick[] {
  const spanMs = toMs - fromMs;
  const stepMs = steps.find((step) => spanMs / step <= maxTicks) ?? Math.ceil(spanMs / maxTicks / day) * day;
  const ticks: Tick[] = [];
  for (let atMs = Math.ceil(fromMs / stepMs) * stepMs; atMs <= toMs; atMs += stepMs) {
    ticks.push({ atMs, label: labelOf(atMs, stepMs, spanMs) });
  }
  return ticks;
}

function labelOf(atMs: number, stepMs: number, spanMs: number): string {
  const date = new Date(atMs);
  if (Number.isNaN(date.getTime())) return '';
  const iso = date.toISOString();
  const time = iso.slice(11, stepMs < minute ? 19 : 16);
  if (stepMs >= day) return iso.slice(0, 10);
  return spanMs > day ? `${iso.slice(5, 10)} ${time}` : time;
}
