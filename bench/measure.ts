import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyImage } from '../lib/drill/verify-layout.js';
import { pushImage, seededImage, type TestImage } from '../lib/testing/index.js';
import { type DockerRegistry, startDockerRegistry } from '../spec/support/docker-registry.js';
import { type Contender, type Place, versionCommands } from './contender.js';
import { type LinkProcess, startLinkProcess } from './link.js';
import type { Result, Start } from './report.js';
import { rotated } from './rotated.js';
import { type ProcessRun, runProcess } from './run-process.js';
import type { Scenario } from './scenario.js';
import { spreadOf, summarize, type Trial } from './summary.js';

/** How to measure. */
export interface Measuring {
  readonly scenarios: readonly Scenario[];
  readonly rounds: number;
  /** Who takes longer hangs. */
  readonly capSeconds: number;
  readonly onTrial: (scenario: Scenario, contender: Contender, trial: Trial, complaint: string) => void;
}

const image = 'bench/image:1';

/** Wherever a layout has been written to, its pages go to the disk in the background of the next trial: unless it is gone. */
const removal = { recursive: true, force: true } as const;

/**
 * Runs every contender of every scenario in turn, once per round, in an order that rotates from round to round.
 *
 * @throws Error when a layout is said to be complete and is not
 */
export async function measure(measuring: Measuring): Promise<readonly Result[]> {
  await using A = await startDockerRegistry();
  await using B = await startDockerRegistry();
  await using linkA = startLinkProcess();
  await using linkB = startLinkProcess();
  const stage: Stage = { A, B, links: { A: linkA, B: linkB } };
  const measured = measuring.scenarios.map((scenario) => ({
    scenario,
    image: seededImage({ bytes: scenario.layerBytes, compression: 'gzip' }),
    trials: new Map<Contender, Trial[]>(scenario.contenders.map((contender) => [contender, []])),
  }));
  for (let round = 0; round < measuring.rounds; round += 1) {
    for (const { scenario, image: expected, trials } of measured) {
      for (const place of ['A', 'B'] as const) await pushImage(stage[place].url, image, expected);
      for (const contender of rotated(scenario.contenders, round)) {
        const before = trials.get(contender);
        // It would cost the cap again, and tell nothing new.
        if (before === undefined || before.some(({ ending }) => ending === 'stopped')) continue;
        const { trial, complaint } = await runTrial(stage, scenario, contender, expected, measuring.capSeconds);
        before.push(trial);
        measuring.onTrial(scenario, contender, trial, complaint);
      }
    }
  }
  return measured.map(({ scenario, image: expected, trials }) => ({
    scenario,
    blobBytes: expected.blobBytes,
    standings: [...trials].map(([contender, all]) => ({ contender, summary: summarize(all) })),
  }));
}

/** What a tool takes to start: the medians of as many tries as there are rounds. */
export async function measureStart(tool: Contender['tool'], rounds: number, capSeconds: number): Promise<Start> {
  const runs: ProcessRun[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const run = await runProcess(versionCommands[tool], capSeconds);
    if (run.ending !== 'done') throw new Error(`${tool} does not start: ${run.complaint}`);
    runs.push(run);
  }
  return {
    seconds: spreadOf(runs.map(({ seconds }) => seconds)).median,
    cpuSeconds: spreadOf(runs.map(({ cpuSeconds }) => cpuSeconds)).median,
  };
}

interface Stage extends Readonly<Record<Place, DockerRegistry>> {
  readonly links: Readonly<Record<Place, LinkProcess>>;
}

async function runTrial(
  stage: Stage,
  scenario: Scenario,
  contender: Contender,
  expected: TestImage,
  capSeconds: number,
): Promise<{ readonly trial: Trial; readonly complaint: string }> {
  const scratch = await mkdtemp(join(tmpdir(), 'pull-failover-bench-'));
  const { bandwidth, faults } = scenario;
  try {
    const links =
      bandwidth === null
        ? null
        : {
            A: await stage.links.A.open(stage.A.url, bandwidth, faults),
            B: await stage.links.B.open(stage.B.url, bandwidth, []),
          };
    const hosts = { A: links?.A.host ?? stage.A.host, B: links?.B.host ?? stage.B.host };
    const layout = join(scratch, 'layout');
    const command = contender.commandLine({ hosts, image, layout, scratch });
    const { complaint, ...run } = await runProcess(command, capSeconds);
    const sentBytes =
      links === null ? null : { A: (await links.A.close()).blobBytes, B: (await links.B.close()).blobBytes };
    if (run.ending === 'done') {
      const host = `${contender.title}, ${scenario.title}`;
      const { problems } = await verifyImage(layout, { host, name: command.name, image, expected });
      if (problems.length > 0) throw new Error(problems.join('\n'));
    }
    return { trial: { ...run, rssGrowthBytes: null, sentBytes }, complaint };
  } finally {
    await rm(scratch, removal);
  }
}
