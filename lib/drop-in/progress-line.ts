/** One line of what a Docker daemon says while it pulls, as dockerode's users know them. */
export interface ProgressLine {
  readonly status?: string;
  /** The first 12 hexadecimal digits of a layer's digest; the tag in the first line. */
  readonly id?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
  /** The same for people. */
  readonly progress?: string;
  readonly error?: string;
  readonly errorDetail?: { readonly message: string };
}

/** As wide as Docker's own. */
const barWidth = 50;

/**
 * `[=====>     ]  1.2MB/3.4MB`
 *
 * @see https://github.com/moby/moby/blob/v20.10.24/pkg/jsonmessage/jsonmessage.go#L57-L127
 */
export function progressBar(current: number, total: number): string {
  const full = Math.min(barWidth, Math.floor((current / total) * barWidth));
  const bar = full === barWidth ? '='.repeat(barWidth) : `${'='.repeat(full)}>${' '.repeat(barWidth - full - 1)}`;
  return `[${bar}] ${size(current).padStart(8)}/${size(total)}`;
}

const units = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** Four digits, in powers of 1000, as `go-units` writes them. */
function size(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  return `${Number((bytes / 1000 ** power).toPrecision(4))}${units[power]}`;
}
