import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pushImage, seededImage } from '../../lib/testing/index.js';
import { type DockerRegistry, startDockerRegistry } from '../../spec/support/docker-registry.js';
import type { Place } from '../contender.js';
import { type LinkProcess, startLinkProcess } from '../link.js';
import { rotated } from '../rotated.js';
import { summarize, type Trial } from '../summary.js';
import type { EngineContender, NamedImage } from './contender.js';
import type { EngineResult } from './report.js';
import type { EngineScenario } from './scenario.js';

/** How to measure. */
export interface EngineMeasuring {
  readonly scenarios: readonly EngineScenario[];
  readonly rounds: number;
  /** Instead of what each scenario says; null leaves it to them. */
  readonly capSeconds: number | null;
  readonly onTrial: (scenario: EngineScenario, contender: EngineContender, trial: Trial, complaint: string) => void;
}

/** Large enough that reading, hashing and sending are compiled before they are measured. */
const warmUpBytes: readonly number[] = [16e6, 16e6];
/** Outside of what the library's registries hold: it comes from the registry of its own name. */
const warmUpName = 'warm-up/image:1';

/**
 * Runs every contender of every scenario in turn, once per round, in an order that rotates from round to round, each
 * with an engine and a process of its own. Who needs a part that is not there is left out. After each round it yields
 * what all rounds so far have shown.
 *
 * @throws Error when an image is said to be complete and is not
 */
export async function* measureEngines(measuring: EngineMeasuring): AsyncGenerator<readonly EngineResult[], void> {
  await using A = await startDockerRegistry();
  await using B = await startDockerRegistry();
  await using linkA = startLinkProcess();
  await using linkB = startLinkProcess();
  const stage: Stage = { A, B, links: { A: linkA, B: linkB } };
  await pushImage(B.url, warmUpName, seededImage({ bytes: warmUpBytes, seed: 'warm-up', compression: 'gzip' }));
  const measured = measuring.scenarios.map((scenario) => ({
    scenario,
    images: imagesOf(scenario),
    trials: new Map<EngineContender, Trial[]>(
      scenario.contenders.filter(({ missing }) => missing() === null).map((contender) => [contender, []]),
    ),
  }));
  for (const { images } of measured) {
    for (const { name, image } of images) {
      for (const place of ['A', 'B'] as const) await pushImage(stage[place].url, name, image);
    }
  }
  for (let round = 0; round < measuring.rounds; round += 1) {
    for (const { scenario, images, trials } of measured) {
      for (const contender of rotated([...trials.keys()], round)) {
        const before = trials.get(contender);
        // It would cost the cap again, and tell nothing new.
        if (before === undefined || before.some(({ ending }) => ending === 'stopped')) continue;
        const capSeconds = measuring.capSeconds ?? scenario.capSeconds;
        const { trial, complaint } = await runTrial(stage, scenario, contender, images, capSeconds);
        before.push(trial);
        measuring.onTrial(scenario, contender, trial, complaint);
      }
    }
    yield measured.map(({ scenario, images, trials }) => ({
      scenario,
      blobBytes: images.reduce((sum, { image }) => sum + image.blobBytes, 0),
      standings: [...trials].map(([contender, all]) => ({ contender, summary: summarize(all) })),
      leftOut: scenario.contenders.flatMap(({ title, missing }) => {
        const what = missing();
        return what === null ? [] : [{ title, missing: what }];
      }),
    }));
  }
}

interface Stage extends Readonly<Record<Place, DockerRegistry>> {
  readonly links: Readonly<Record<Place, LinkProcess>>;
}

function imagesOf({ name, images, layerBytes }: EngineScenario): readonly NamedImage[] {
  return Array.from({ length: images }, (_, index) => ({
    name: `bench/${name}-${index}:1`,
    image: seededImage({ bytes: layerBytes, seed: `${name} ${index}`, compression: 'gzip' }),
  }));
}

async function runTrial(
  stage: Stage,
  { bandwidth, faults }: EngineScenario,
  contender: EngineContender,
  images: readonly NamedImage[],
  capSeconds: number,
): Promise<{ readonly trial: Trial; readonly complaint: string }> {
  const scratch = await mkdtemp(join(tmpdir(), 'pull-failover-bench-'));
  try {
    const links =
      bandwidth === null
        ? null
        : {
            A: await stage.links.A.open(stage.A.url, bandwidth, faults),
            B: await stage.links.B.open(stage.B.url, bandwidth, []),
          };
    const { complaint, ...run } = await contender.run({
      hosts: { A: links?.A.host ?? stage.A.host, B: links?.B.host ?? stage.B.host },
      images,
      warmUp: `${stage.B.host}/${warmUpName}`,
      scratch,
      capSeconds,
    });
    const sentBytes =
      links === null ? null : { A: (await links.A.close()).blobBytes, B: (await links.B.close()).blobBytes };
    return { trial: { ...run, sentBytes }, complaint };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
