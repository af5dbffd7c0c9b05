import { cpuPerGb, endingText, megabytes, ratio, spreadText, yesNo } from './amounts.js';
import type { Contender } from './contender.js';
import { type Machine, machineText } from './machine.js';
import { markdownTable } from './markdown.js';
import type { Scenario } from './scenario.js';
import type { Summary } from './summary.js';

/** What one contender did in a scenario. */
export interface Standing {
  readonly contender: Contender;
  readonly summary: Summary;
}

/** Everything that was measured in a scenario. */
export interface Result {
  readonly scenario: Scenario;
  /** Bytes of all blobs of the image. */
  readonly blobBytes: number;
  readonly standings: readonly Standing[];
}

/** What a command takes before it does anything. */
export interface Start {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** What the numbers were measured on, and with. */
export interface Surroundings extends Machine {
  /** Null where it is not installed. */
  readonly skopeo: string | null;
  readonly dockerRegistry: string;
  readonly rounds: number;
  readonly capSeconds: number;
  /** What each tool takes to start and to tell its version: a part of all its times. */
  readonly start: { readonly own: Start; readonly skopeo: Start | null };
}

/** The targets of the design that these scenarios can tell something about. */
const targetRate = 0.8;
const targetCpuSecondsPerGb = 2.3;

/** Sets all results as Markdown: the surroundings, the tables, and how far the targets are met. */
export function reportText(results: readonly Result[], surroundings: Surroundings): string {
  const shaped = results.filter(({ scenario }) => scenario.bandwidth !== null);
  const unshaped = results.filter(({ scenario }) => scenario.bandwidth === null);
  return [
    surroundingsText(surroundings),
    ...(shaped.length === 0 ? [] : ['### On a shaped link', shapedTable(shaped, surroundings)]),
    ...(unshaped.length === 0 ? [] : ['### Unshaped', unshapedTable(unshaped, surroundings)]),
    '### Against the targets',
    targetTable(results),
  ].join('\n\n');
}

function surroundingsText(surroundings: Surroundings): string {
  const { node, skopeo, dockerRegistry, rounds, capSeconds, start } = surroundings;
  const others = start.skopeo === null ? '' : ` (skopeo: ${startText(start.skopeo)})`;
  return [
    machineText(surroundings, rounds),
    `Node ${node}, ${skopeo === null ? 'no skopeo (its rows are missing)' : `skopeo ${skopeo}`}, docker-registry ${dockerRegistry}.`,
    `Who hung once was stopped after ${capSeconds} s and not run again in that scenario.`,
    `In all numbers is the start of the command, ${startText(start.own)}${others}, which a`,
    'process that embeds the library has behind itself.',
  ].join('\n');
}

function startText({ seconds, cpuSeconds }: Start): string {
  return `${seconds.toFixed(2)} s and ${cpuSeconds.toFixed(2)} CPU-s`;
}

function shapedTable(results: readonly Result[], surroundings: Surroundings): string {
  const headings = [
    'registry A',
    'tool',
    'time',
    '× limit',
    '× healthy',
    'from A',
    'from B',
    'sent twice',
    'CPU-s/GB',
    'memory',
  ];
  const rows = results.flatMap((result) =>
    result.standings.map(({ contender, summary }, index) => {
      const head = [index === 0 ? result.scenario.title : '', contender.title];
      if (summary.ending !== 'done') return [...head, endingText(summary, surroundings.capSeconds)];
      const { sentBytes, seconds } = summary;
      return [
        ...head,
        spreadText(seconds, 2, 's'),
        ratio(seconds.median, limitSeconds(result)),
        ratio(seconds.median, healthySeconds(result)),
        ...(sentBytes === null
          ? ['', '', '']
          : [
              megabytes(sentBytes.A.median),
              megabytes(sentBytes.B.median),
              megabytes(Math.max(0, sentBytes.A.median + sentBytes.B.median - result.blobBytes)),
            ]),
        cpuPerGb(summary.cpuSeconds, result.blobBytes),
        summary.maxRssBytes === null ? '' : megabytes(summary.maxRssBytes.median, 0),
      ];
    }),
  );
  return markdownTable(headings, rows, new Set([3, 4, 5, 6, 7, 8, 9]));
}

function unshapedTable(results: readonly Result[], surroundings: Surroundings): string {
  const headings = ['what', 'tool', 'time', 'MB/s', '× skopeo', 'CPU-s/GB', 'memory'];
  const rows = results.flatMap((result) =>
    result.standings.map(({ contender, summary }, index) => {
      const head = [index === 0 ? result.scenario.title : '', contender.title];
      if (summary.ending !== 'done') return [...head, endingText(summary, surroundings.capSeconds)];
      const { median } = summary.seconds;
      return [
        ...head,
        spreadText(summary.seconds, 2, 's'),
        (result.blobBytes / 1e6 / median).toFixed(0),
        ratio(healthySeconds(result) ?? Number.NaN, median),
        cpuPerGb(summary.cpuSeconds, result.blobBytes),
        summary.maxRssBytes === null ? '' : megabytes(summary.maxRssBytes.median, 0),
      ];
    }),
  );
  return markdownTable(headings, rows, new Set([3, 4, 5, 6]));
}

function targetTable(results: readonly Result[]): string {
  const rows = results.flatMap((result) => {
    const { scenario, standings } = result;
    const own = doneOf(standings, ({ tool, role }) => tool === 'pull-failover' && role === 'measured');
    const healthy = healthySeconds(result);
    if (healthy === null) return [];
    if (own === null) return [[scenario.title, 'the pull succeeds', 'it did not', 'no']];
    if (scenario.allowedMs !== null) {
      const allowed = healthy + scenario.allowedMs / 1_000;
      const what = `≤ healthy + ${scenario.allowedMs / 1_000} s = ${allowed.toFixed(2)} s`;
      return [[scenario.title, what, `${own.seconds.median.toFixed(2)} s`, yesNo(own.seconds.median <= allowed)]];
    }
    const rows = [[scenario.title, 'the same tool twice', controlText(result), '']];
    if (scenario.bandwidth !== null) return rows;
    const rate = healthy / own.seconds.median;
    const cpu = (own.cpuSeconds?.median ?? Number.NaN) / (result.blobBytes / 1e9);
    const rateTarget = `≥ ${targetRate.toFixed(1)} × skopeo in MB/s`;
    const cpuTarget = `≤ ${targetCpuSecondsPerGb} CPU-s/GB, hashing included`;
    return [
      [scenario.title, rateTarget, `${rate.toFixed(2)} ×`, yesNo(rate >= targetRate)],
      [scenario.title, cpuTarget, cpu.toFixed(2), yesNo(cpu <= targetCpuSecondsPerGb)],
      ...rows,
    ];
  });
  return markdownTable(['scenario', 'target', 'measured', 'met'], rows, new Set());
}

/** How far two runs of one and the same tool differ: no smaller difference between tools means anything. */
function controlText({ standings }: Result): string {
  return standings
    .flatMap(({ contender: { tool, role }, summary }) => {
      const first = doneOf(standings, (other) => other.tool === tool && other.role !== 'control');
      if (role !== 'control' || summary.ending !== 'done' || first === null) return [];
      return [`${tool} ${ratio(summary.seconds.median, first.seconds.median)} ×`];
    })
    .join(', ');
}

function doneOf(
  standings: readonly Standing[],
  is: (contender: Contender) => boolean,
): Extract<Summary, { readonly ending: 'done' }> | null {
  const summary = standings.find(({ contender }) => is(contender))?.summary;
  return summary?.ending === 'done' ? summary : null;
}

function healthySeconds({ standings }: Result): number | null {
  return doneOf(standings, ({ role }) => role === 'healthy')?.seconds.median ?? null;
}

function limitSeconds({ scenario, blobBytes }: Result): number | null {
  const rate = scenario.bandwidth?.totalBytesPerSecond;
  return rate === undefined ? null : blobBytes / rate;
}
