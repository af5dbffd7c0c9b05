/** One run of one contender in one scenario. */
export interface Trial {
  readonly ending: 'done' | 'failed' | 'stopped';
  readonly seconds: number;
  /** Null where it was not measured, as all that follows. */
  readonly cpuSeconds: number | null;
  readonly maxRssBytes: number | null;
  /** What the process came to hold on top of what it held before. */
  readonly rssGrowthBytes: number | null;
  /** Bytes of blobs that each registry sent; null where no proxy counted them. */
  readonly sentBytes: { readonly A: number; readonly B: number } | null;
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
      readonly cpuSeconds: Spread | null;
      readonly maxRssBytes: Spread | null;
      readonly rssGrowthBytes: Spread | null;
      readonly sentBytes: { readonly A: Spread; readonly B: Spread } | null;
    }
  | { readonly ending: 'failed' | 'stopped'; readonly trials: number; readonly seconds: Spread }
  | { readonly ending: 'mixed'; readonly trials: number; readonly done: number };

/** @throws RangeError when there was no trial */
export function summarize(trials: readonly Trial[]): Summary {
  const seconds = spreadOf(trials.map((trial) => trial.seconds));
  const endings = new Set(trials.map(({ ending }) => ending));
  const [ending] = endings;
  if (ending === undefined || endings.size > 1) {
    return { ending: 'mixed', trials: trials.length, done: trials.filter((trial) => trial.ending === 'done').length };
  }
  if (ending !== 'done') return { ending, trials: trials.length, seconds };
  const sentBytes = known(trials.map((trial) => trial.sentBytes));
  return {
    ending,
    trials: trials.length,
    seconds,
    cpuSeconds: spreadOfKnown(trials.map(({ cpuSeconds }) => cpuSeconds)),
    maxRssBytes: spreadOfKnown(trials.map(({ maxRssBytes }) => maxRssBytes)),
    rssGrowthBytes: spreadOfKnown(trials.map(({ rssGrowthBytes }) => rssGrowthBytes)),
    sentBytes:
      sentBytes.length === 0
        ? null
        : { A: spreadOf(sentBytes.map(({ A }) => A)), B: spreadOf(sentBytes.map(({ B }) => B)) },
  };
}

function spreadOfKnown(values: readonly (number | null)[]): Spread | null {
  const numbers = known(values);
  return numbers.length === 0 ? null : spreadOf(numbers);
}

function known<T>(values: readonly (T | null)[]): readonly T[] {
  return values.flatMap((value) => (value === null ? [] : [value]));
}
