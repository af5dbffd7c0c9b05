/** What can be told of a run beside how long it took. */
export type AmountName =
  /** Of the process that pulls, where that does the work. */
  | 'cpuSeconds'
  /** What that process came to hold on top of what it held before. */
  | 'rssGrowthBytes'
  /** The longest of its pulls. */
  | 'slowestSeconds'
  /** The 99th percentile of how late its event loop turned, in milliseconds. */
  | 'loopDelayMs'
  /** Bytes of layers and configs that each registry sent. */
  | 'sentByA'
  | 'sentByB'
  /** Requests that registries answered with 429. */
  | 'refusals';

/** One run of one contender in one scenario. */
export interface Trial {
  /** `wrong`: it said that all is there, and it is not. */
  readonly ending: 'done' | 'failed' | 'stopped' | 'wrong';
  readonly seconds: number;
  /** Those that were measured. */
  readonly amounts: Readonly<Partial<Record<AmountName, number>>>;
}

/** The middle of several measurements, and their ends. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** @throws RangeError when there is nothing to sum up */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const [min] = sorted;
  const max = sorted.at(-1);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.ceil(sorted.length / 2) - 1];
  if (min === undefined || max === undefined || upper === undefined || lower === undefined) {
    throw new RangeError('a spread needs at least one value');
  }
  return { median: (lower + upper) / 2, min, max };
}

/** What became of all runs of one contender in one scenario. */
export type Summary =
  | {
      readonly ending: 'done';
      readonly trials: number;
      readonly seconds: Spread;
      readonly amounts: Readonly<Partial<Record<AmountName, Spread>>>;
    }
  | { readonly ending: 'failed' | 'stopped' | 'wrong'; readonly trials: number; readonly seconds: Spread }
  | { readonly ending: 'mixed'; readonly trials: number; readonly done: number };

/** The runs of a contender of which all succeeded. */
export type Done = Extract<Summary, { readonly ending: 'done' }>;

/** @throws RangeError when there was no trial */
export function summarize(trials: readonly Trial[]): Summary {
  const seconds = spreadOf(trials.map((trial) => trial.seconds));
  const endings = new Set(trials.map(({ ending }) => ending));
  const [ending] = endings;
  if (ending === undefined || endings.size > 1) {
    return { ending: 'mixed', trials: trials.length, done: trials.filter((trial) => trial.ending === 'done').length };
  }
  if (ending !== 'done') return { ending, trials: trials.length, seconds };
  const names = new Set(trials.flatMap(({ amounts }) => Object.keys(amounts) as AmountName[]));
  const spreads = [...names].map((name) => [
    name,
    spreadOf(trials.flatMap(({ amounts }) => (amounts[name] === undefined ? [] : [amounts[name]]))),
  ]);
  return { ending, trials: trials.length, seconds, amounts: Object.fromEntries(spreads) };
}
