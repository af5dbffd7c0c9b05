import { seededImage } from '../lib/testing/index.js';
import { startDockerRegistry } from '../spec/support/docker-registry.js';
import { createAuthority } from '../spec/support/tls.js';
import type { Contender, NamedImage, Run } from './contender.js';
import { startLinkProcess } from './link.js';
import { rotated } from './rotated.js';
import type { Entrant, Scenario } from './scenario.js';
import { type ScenarioImages, setStage } from './stage.js';
import { summarize, type Summary, type Trial } from './summary.js';

/** How to measure. */
export interface Measuring {
  readonly scenarios: readonly Scenario[];
  readonly rounds: number;
  /** Instead of what each scenario says; null leaves it to them. */
  readonly capSeconds: number | null;
  readonly onTrial: (scenario: Scenario, contender: Contender, run: Run) => void;
}

/** What one contender did in a scenario. */
export interface Placing {
  readonly entrant: Entrant;
  readonly summary: Summary;
}

/** Everything that was measured in a scenario. */
export interface Result {
  readonly scenario: Scenario;
  /** Bytes of all blobs that had to be brought. */
  readonly blobBytes: number;
  readonly placings: readonly Placing[];
  /** Who could not be measured, and for want of what. */
  readonly leftOut: readonly { readonly title: string; readonly missing: string }[];
}

/**
 * Runs every contender of every scenario in turn, once per round, in an order that rotates from round to round. Who
 * needs a part that is not there is left out. After each round it yields what all rounds so far have shown.
 */
export async function* measure(measuring: Measuring): AsyncGenerator<readonly Result[], void> {
  await using A = await startDockerRegistry();
  await using B = await startDockerRegistry();
  await using linkA = startLinkProcess();
  await using linkB = startLinkProcess();
  const stage = await setStage({
    registries: { A, B },
    links: { A: linkA, B: linkB },
    authority: createAuthority('pull-failover bench'),
  });
  const measured = measuring.scenarios.map((scenario) => ({
    scenario,
    trials: new Map<Entrant, Trial[]>(
      scenario.entrants
        .filter(({ contender }) => contender.missing() === null)
        .map((entrant): [Entrant, Trial[]] => [entrant, []]),
    ),
  }));
  for (let round = 0; round < measuring.rounds; round += 1) {
    for (const { scenario, trials } of measured) {
      const images = imagesOf(scenario);
      if (round === 0) await stage.hold([...new Set([...images.first, ...images.measured])]);
      for (const entrant of rotated([...trials.keys()], round)) {
        const { contender } = entrant;
        const before = trials.get(entrant);
        // It would cost the cap again, and tell nothing new.
        if (before === undefined || before.some(({ ending }) => ending === 'stopped')) continue;
        const run = await stage.run(scenario, contender, images, measuring.capSeconds ?? scenario.capSeconds);
        before.push(run);
        measuring.onTrial(scenario, contender, run);
      }
    }
    yield measured.map(resultOf);
  }
}

function resultOf({
  scenario,
  trials,
}: {
  readonly scenario: Scenario;
  readonly trials: ReadonlyMap<Entrant, readonly Trial[]>;
}): Result {
  return {
    scenario,
    blobBytes:
      scenario.first === 'the-same'
        ? 0
        : imagesOf(scenario).measured.reduce((sum, { image }) => sum + image.blobBytes, 0),
    placings: [...trials].map(([entrant, all]) => ({ entrant, summary: summarize(all) })),
    leftOut: scenario.entrants.flatMap(({ contender: { title, missing } }) => {
      const what = missing();
      return what === null ? [] : [{ title, missing: what }];
    }),
  };
}

/** Making them costs seconds of hashing. */
const madeImages = new Map<Scenario, ScenarioImages>();

function imagesOf(scenario: Scenario): ScenarioImages {
  const known = madeImages.get(scenario);
  if (known !== undefined) return known;
  const measured = seriesOf(scenario, 'image', scenario.images);
  const first = scenario.first === 'the-same' ? measured : seriesOf(scenario, 'first', scenario.first);
  const made = { first, measured };
  madeImages.set(scenario, made);
  return made;
}

/**
 * Scenarios that pull the same sizes pull the same images. One repository for those that share layers: a registry need
 * not be given them again.
 */
function seriesOf({ layerBytes, layers }: Scenario, what: string, count: number): readonly NamedImage[] {
  const shape = layerBytes.join('-');
  return Array.from({ length: count }, (_, index) =>
    layers === 'own'
      ? {
          name: `bench/${shape}-${what}-${index}:1`,
          image: seededImage({ bytes: layerBytes, seed: `${what} ${index}`, compression: 'gzip' }),
        }
      : {
          name: `bench/${shape}-${what}:${index}`,
          image: seededImage({
            bytes: layerBytes,
            seed: what,
            compression: 'gzip',
            config: { config: { Labels: { index: `${index}` } } },
          }),
        },
  );
}
