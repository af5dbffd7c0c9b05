import { again, type Contender } from '../../../bench/contender.js';
import type { Placing, Result } from '../../../bench/measure.js';
import type { Scenario } from '../../../bench/scenario.js';
import { type AmountName, summarize, type Trial } from '../../../bench/summary.js';
import type { Target } from '../../../bench/target.js';

/** A contender that is only told of, never run. */
function contenderNamed(name: string, isOurs: boolean): Contender {
  return {
    name,
    title: `the ${name}`,
    isOurs,
    controlOf: null,
    missing: () => null,
    run: () => Promise.reject(new Error('nothing is run here')),
  };
}

export const ours: Contender = contenderNamed('own', true);
export const oursAgain: Contender = again(ours);
export const other: Contender = contenderNamed('other', false);

export function done(seconds: number, amounts: Partial<Record<AmountName, number>> = {}): Trial {
  return { ending: 'done', seconds, amounts };
}

export function ended(ending: Trial['ending'], seconds: number): Trial {
  return { ending, seconds, amounts: {} };
}

export function placing(contender: Contender, trials: readonly Trial[], ...targets: readonly Target[]): Placing {
  return { entrant: { contender, targets }, summary: summarize(trials) };
}

/** 100 MB over a link of 50 MB/s, compared with `other`. */
export function resultOf(placings: readonly Placing[], scenario: Partial<Scenario> = {}): Result {
  return {
    scenario: {
      name: 'a-scenario',
      title: 'a scenario',
      layerBytes: [100e6],
      images: 1,
      atOnce: 1,
      layers: 'own',
      first: 0,
      bandwidth: { totalBytesPerSecond: 50e6 },
      faults: [],
      lastLayers: null,
      requestsPerSecond: null,
      capSeconds: 15,
      reference: 'other',
      chartUnit: 'limit',
      entrants: placings.map(({ entrant }) => entrant),
      ...scenario,
    },
    blobBytes: 100e6,
    placings,
    leftOut: [],
  };
}
