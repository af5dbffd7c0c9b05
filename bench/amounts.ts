import type { Spread, Summary } from './summary.js';

/** `3.60 s (3.51–3.80)` */
export function spreadText({ median, min, max }: Spread, digits: number, unit: string): string {
  return `${median.toFixed(digits)} ${unit} (${min.toFixed(digits)}–${max.toFixed(digits)})`;
}

/** Nothing where there is nothing to compare with. */
export function ratio(value: number, of: number | null): string {
  return of === null || Number.isNaN(value) ? '' : (value / of).toFixed(2);
}

export function megabytes(bytes: number, digits: number = 1): string {
  return `${(bytes / 1e6).toFixed(digits)} MB`;
}

export function mebibytes(bytes: number, digits: number = 0): string {
  return `${(bytes / 2 ** 20).toFixed(digits)} MiB`;
}

export function yesNo(is: boolean): string {
  return is ? 'yes' : 'no';
}

/** How runs ended of which not all succeeded. */
export function endingText(summary: Exclude<Summary, { readonly ending: 'done' }>): string {
  switch (summary.ending) {
    case 'stopped':
      return `hangs (stopped at ${summary.seconds.median.toFixed(0)} s)`;
    case 'failed':
      return `fails after ${spreadText(summary.seconds, 2, 's')}`;
    case 'wrong':
      return 'brings wrong content';
    case 'mixed':
      return `succeeds in ${summary.done} of ${summary.trials} rounds`;
  }
}
