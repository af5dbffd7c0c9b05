import { barChart } from './chart.js';
import { chartGroups } from './chart-groups.js';
import { engines } from './contenders/engine-choice.js';
import { describeMachine, versionOf } from './machine.js';
import { measure, type Result } from './measure.js';
import { reportText } from './report.js';
import { scenarios } from './scenarios.js';

/** How to compare. */
export interface CompareOptions {
  readonly rounds: number;
  /** Null for what suits each scenario. */
  readonly capSeconds: number | null;
  /** Names of scenarios; null for all. */
  readonly only: readonly string[] | null;
}

/** What has been measured so far. */
export interface Comparison {
  /** Markdown. */
  readonly text: string;
  /** SVG. */
  readonly chart: string;
  /** Whether every pull of ours succeeded. */
  readonly isWell: boolean;
}

const chartTitle = 'What a pull takes, in an outage and without one';

/** Yields anew after each round: of a long run that is interrupted, what it had measured stays. */
export async function* compare({ rounds, capSeconds, only }: CompareOptions): AsyncGenerator<Comparison, void> {
  const surroundings = { ...describeMachine(), tools: toolsThatAreThere() };
  const measured = measure({
    scenarios: only === null ? scenarios : scenarios.filter(({ name }) => only.includes(name)),
    rounds,
    capSeconds,
    onTrial: ({ name }, { title }, { ending, seconds, complaint }) => {
      const why = complaint === '' ? '' : `: ${complaint.split('\n').at(-1)}`;
      process.stderr.write(`${name} · ${title}: ${ending} after ${seconds.toFixed(2)} s${why}\n`);
    },
  });
  let done = 0;
  for await (const results of measured) {
    done += 1;
    yield {
      text: reportText(results, { ...surroundings, rounds: done }),
      chart: barChart(chartTitle, chartGroups(results)),
      isWell: results.every(allOwnPullsSucceeded),
    };
  }
}

function allOwnPullsSucceeded({ placings }: Result): boolean {
  return placings.every(({ entrant, summary }) => !entrant.contender.isOurs || summary.ending === 'done');
}

/** Each with its version. */
function toolsThatAreThere(): readonly string[] {
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
