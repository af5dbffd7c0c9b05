/** One run of one contender in one scenario. */
export interface Trial {
  readonly ending: 'done' | 'failed' | 'stopped';
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly maxRssBytes: number;
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
      readonly cpuSeconds: Spread;
      readonly maxRssBytes: Spread;
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
  const sent = trials.flatMap(({ sentBytes }) => (sentBytes === null ? [] : [sentBytes]));
  return {
    ending,
    trials: trials.length,
    seconds,
    cpuSeconds: spreadOf(trials.map(({ cpuSeconds }) => cpuSeconds)),
    maxRssBytes: spreadOf(trials.map(({ maxRssBytes }) => maxRssBytes)),
    sentBytes: sent.length === 0 ? null : { A: spreadOf(sent.map(({ A }) => A)), B: spreadOf(sent.map(({ B }) => B)) },
  };
}
