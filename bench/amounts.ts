import type { Spread, Summary } from './summary.js';

/** `3.60 s (3.51–3.80)` */
export function spreadText({ median, min, max }: Spread, digits: number, unit: string): string {
  return `${median.toFixed(digits)} ${unit} (${min.toFixed(digits)}–${max.toFixed(digits)})`;
}

/** Nothing where there is nothing to compare with. */
export function ratio(value: number, of: number | null): string {
  return of === null || Number.isNaN(value) ? '' : (value / of).toFixed(2);
}

/** CPU seconds per gigabyte (1e9 bytes) of blobs. */
export function cpuPerGb(cpuSeconds: Spread | null, blobBytes: number): string {
  return cpuSeconds === null ? '' : (cpuSeconds.median / (blobBytes / 1e9)).toFixed(2);
}

export function megabytes(bytes: number, digits: number = 1): string {
  return `${(bytes / 1e6).toFixed(digits)} MB`;
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}

export function yesNo(is: boolean): string {
  return is ? 'yes' : 'no';
}

/** How runs ended of which not all succeeded. */
export function endingText(summary: Exclude<Summary, { readonly ending: 'done' }>, capSeconds: number): string {
  switch (summary.ending) {
    case 'stopped':
      return `hangs (stopped at ${capSeconds} s)`;
    case 'failed':
      return `fails after ${spreadText(summary.seconds, 2, 's')}`;
    case 'mixed':
      return `succeeds in ${summary.done} of ${summary.trials} rounds`;
  }
}
