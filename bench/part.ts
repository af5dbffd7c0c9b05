import { engines } from './engines/engine-choice.js';
import { measureEngines } from './engines/measure.js';
import { engineReportText } from './engines/report.js';
import { engineScenarios } from './engines/scenario.js';
import { describeMachine, versionOf } from './machine.js';
import { measure, measureStart } from './measure.js';
import { reportText, type Result, type Surroundings } from './report.js';
import { loopback, scenarios } from './scenario.js';
import type { Trial } from './summary.js';

/** How a part is run. */
export interface PartOptions {
  readonly rounds: number;
  /** Null for what suits each scenario. */
  readonly capSeconds: number | null;
  /** Names of scenarios; null for all. */
  readonly only: readonly string[] | null;
}

/** What a part has measured so far. */
export interface PartResult {
  /** Markdown. */
  readonly text: string;
  /** Whether every pull of ours succeeded. */
  readonly isWell: boolean;
}

/** A part of the benchmark, with a place of its own in README.md. */
export interface BenchPart {
  readonly name: string;
  readonly scenarioNames: readonly string[];
  /** Yields anew whenever more is known: of a long run that is interrupted, what it had measured stays. */
  run(options: PartOptions): AsyncIterable<PartResult>;
}

/** More than twice what anybody needs who does not hang. */
const layoutCapSeconds = 40;

/** Into an OCI layout on disk, by the built command. */
export const layoutPart: BenchPart = {
  name: 'layout',
  scenarioNames: [...scenarios, loopback].map(({ name }) => name),
  run: async function* ({ rounds, capSeconds: given, only }) {
    const capSeconds = given ?? layoutCapSeconds;
    const surroundings = await describeLayoutSurroundings(rounds, capSeconds);
    const isThere = new Set(['pull-failover', ...(surroundings.skopeo === null ? [] : ['skopeo'])]);
    const results = await measure({
      scenarios: chosen([...scenarios, loopback], only).map((scenario) => ({
        ...scenario,
        contenders: scenario.contenders.filter(({ tool }) => isThere.has(tool)),
      })),
      rounds,
      capSeconds,
      onTrial: (scenario, contender, trial, complaint) => say(scenario.title, contender.title, trial, complaint),
    });
    yield { text: reportText(results, surroundings), isWell: results.every(allOwnPullsSucceeded) };
  },
};

/** Into engines, by the built library. */
export const enginePart: BenchPart = {
  name: 'engines',
  scenarioNames: engineScenarios.map(({ name }) => name),
  run: async function* ({ rounds, capSeconds, only }) {
    const surroundings = { ...describeMachine(), tools: engineTools(), capSeconds };
    const measured = measureEngines({
      scenarios: chosen(engineScenarios, only),
      rounds,
      capSeconds,
      onTrial: (scenario, contender, trial, complaint) => say(scenario.title, contender.title, trial, complaint),
    });
    let done = 0;
    for await (const results of measured) {
      done += 1;
      const own = results.flatMap(({ standings }) =>
        standings.filter(({ contender }) => contender.subject === 'pull-failover'),
      );
      yield {
        text: engineReportText(results, { ...surroundings, rounds: done }),
        isWell: own.every(({ summary }) => summary.ending === 'done'),
      };
    }
  },
};

function chosen<T extends { readonly name: string }>(all: readonly T[], only: readonly string[] | null): readonly T[] {
  return only === null ? all : all.filter(({ name }) => only.includes(name));
}

function say(scenario: string, contender: string, { ending, seconds }: Trial, complaint: string): void {
  const said = ending === 'failed' ? `: ${complaint.split('\n').at(-1)}` : '';
  process.stderr.write(`${scenario} · ${contender}: ${ending} after ${seconds.toFixed(2)} s${said}\n`);
}

function allOwnPullsSucceeded({ standings }: Result): boolean {
  return standings.every(({ contender, summary }) => contender.tool !== 'pull-failover' || summary.ending === 'done');
}

async function describeLayoutSurroundings(rounds: number, capSeconds: number): Promise<Surroundings> {
  const skopeo = versionOf('skopeo');
  return {
    ...describeMachine(),
    start: {
      own: await measureStart('pull-failover', rounds, capSeconds),
      skopeo: skopeo === null ? null : await measureStart('skopeo', rounds, capSeconds),
    },
    skopeo,
    dockerRegistry: versionOf('docker-registry') ?? 'unknown',
    rounds,
    capSeconds,
  };
}

/** Every tool that is there, with its version. */
function engineTools(): readonly string[] {
  const nextRelease = process.env['PULL_FAILOVER_NEXT_RELEASE'] ?? '';
  const versions: readonly (readonly [title: string, version: string | null])[] = [
    [engines.docker.title, versionOf('dockerd')],
    [
      engines.containerd.title,
      engines.containerd.missing() === null ? versionOf('chroot', [nextRelease, 'dockerd', '--version']) : null,
    ],
    ['containerd', versionOf('containerd')],
    ['podman', versionOf('podman')],
    ['skopeo', versionOf('skopeo')],
    ['docker-registry', versionOf('docker-registry')],
  ];
  return versions.flatMap(([title, version]) => (version === null ? [] : [`${title} ${version}`]));
}
