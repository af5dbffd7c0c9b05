import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Fault, pushImage, seededImage } from '../lib/testing/index.js';
import type { DockerRegistry } from '../spec/support/docker-registry.js';
import type { TestAuthority } from '../spec/support/tls.js';
import { type Contender, type NamedImage, type Place, type Run, WrongContentError } from './contender.js';
import type { LinkProcess } from './link.js';
import type { LinkShape } from './link-process.js';
import type { Redirecting } from './request-limiter.js';
import type { Scenario } from './scenario.js';

/** Two real registries, and links before them. */
export interface Stage {
  /** Makes both registries hold these images. */
  hold(images: readonly NamedImage[]): Promise<void>;
  run(scenario: Scenario, contender: Contender, images: ScenarioImages, capSeconds: number): Promise<Run>;
}

/** What is pulled in a scenario. */
export interface ScenarioImages {
  readonly first: readonly NamedImage[];
  readonly measured: readonly NamedImage[];
}

/** Large enough that reading, hashing and sending are compiled before they are measured. */
const warmUpBytes: readonly number[] = [16e6, 16e6];
/** Outside of what the library's registries hold: it comes from the registry of its own name. */
const warmUpName = 'warm-up/image:1';
/** Many small images would be a matter of waiting. */
const pushesAtOnce = 8;

const places: readonly Place[] = ['A', 'B'];

/** What a stage is made of. */
export interface Props {
  readonly registries: Readonly<Record<Place, DockerRegistry>>;
  readonly links: Readonly<Record<Place, LinkProcess>>;
  readonly authority: TestAuthority;
}

/** Whoever gave the props takes them away. */
export async function setStage(props: Props): Promise<Stage> {
  const { registries } = props;
  await push(registries.B, [
    { name: warmUpName, image: seededImage({ bytes: warmUpBytes, seed: 'warm-up', compression: 'gzip' }) },
  ]);
  return {
    hold: async (images) => {
      await Promise.all(places.map((place) => push(registries[place], images)));
    },
    run: (scenario, contender, images, capSeconds) => runOnStage(props, scenario, contender, images, capSeconds),
  };
}

async function push({ url }: DockerRegistry, images: readonly NamedImage[]): Promise<void> {
  const [first, ...left] = images;
  // What they share has to be there before many push it at once.
  if (first !== undefined) await pushImage(url, first.name, first.image);
  const inTurn = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await pushImage(url, next.name, next.image);
  };
  await Promise.all(Array.from({ length: pushesAtOnce }, inTurn));
}

async function runOnStage(
  { registries, links, authority }: Props,
  scenario: Scenario,
  contender: Contender,
  images: ScenarioImages,
  capSeconds: number,
): Promise<Run> {
  const scratch = await mkdtemp(join(tmpdir(), 'pull-failover-bench-'));
  const { bandwidth, requestsPerSecond } = scenario;
  const redirecting = requestsPerSecond === null ? null : redirectingBy(authority, requestsPerSecond);
  const open = async (place: Place, shape: Omit<LinkShape, 'bandwidth'>) =>
    bandwidth === null ? null : links[place].open(registries[place].url, { bandwidth, ...shape });
  try {
    const A = await open('A', { faults: faultsOf(scenario, images), redirecting });
    const B = await open('B', { faults: [], redirecting: null });
    const run = await contender
      .run({
        hosts: { A: A?.host ?? registries.A.host, B: B?.host ?? registries.B.host },
        ca: redirecting?.ca ?? null,
        warmUp: `${registries.B.host}/${warmUpName}`,
        first: images.first,
        images: images.measured,
        atOnce: scenario.atOnce,
        scratch,
        capSeconds,
      })
      .catch((error: unknown): Run => failedRun(error));
    const [a, b] = [await A?.close(), await B?.close()];
    if (a === undefined || b === undefined) return run;
    const traffic = { sentByA: a.blobBytes, sentByB: b.blobBytes, refusals: a.refusals };
    return { ...run, amounts: { ...run.amounts, ...traffic } };
  } finally {
    // Where a layout has been written to, its pages go to the disk during the next trial: unless it is gone.
    await rm(scratch, { recursive: true, force: true });
  }
}

function faultsOf({ faults, lastLayers }: Scenario, { measured }: ScenarioImages): readonly Fault[] {
  if (lastLayers === null) return faults;
  const struck = measured.flatMap(({ image }) => image.layers.slice(-lastLayers));
  return faults.flatMap((fault) => struck.map(({ digest }) => ({ ...fault, object: digest })));
}

function redirectingBy(authority: TestAuthority, requestsPerSecond: number): Redirecting {
  return { ...authority.issue(['127.0.0.1']), ca: authority.ca, requestsPerSecond };
}

/** A contender that cannot even begin, or brings something else, is a result too: the others go on. */
function failedRun(error: unknown): Run {
  const ending = error instanceof WrongContentError ? 'wrong' : 'failed';
  return { ending, seconds: 0, amounts: {}, complaint: error instanceof Error ? error.message : String(error) };
}
