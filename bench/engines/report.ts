import { cpuPerGb, endingText, mebibytes, megabytes, ratio, spreadText, yesNo } from '../amounts.js';
import { type Machine, machineText } from '../machine.js';
import { markdownTable } from '../markdown.js';
import type { Summary } from '../summary.js';
import type { EngineContender } from './contender.js';
import type { EngineScenario } from './scenario.js';

/** What one contender did in a scenario. */
export interface EngineStanding {
  readonly contender: EngineContender;
  readonly summary: Summary;
}

/** Everything that was measured in a scenario. */
export interface EngineResult {
  readonly scenario: EngineScenario;
  /** Bytes of all blobs of all images. */
  readonly blobBytes: number;
  readonly standings: readonly EngineStanding[];
  /** Who could not be measured, and for want of what. */
  readonly leftOut: readonly { readonly title: string; readonly missing: string }[];
}

/** What the numbers were measured on, and with. */
export interface EngineSurroundings extends Machine {
  /** `Docker 20.10.24` */
  readonly tools: readonly string[];
  readonly rounds: number;
  /** Instead of what each scenario says. */
  readonly capSeconds: number | null;
}

type Done = Extract<Summary, { readonly ending: 'done' }>;

/** Sets all results as Markdown: the surroundings, the tables, how far the targets are met, and what is missing. */
export function engineReportText(results: readonly EngineResult[], surroundings: EngineSurroundings): string {
  const healthy = results.filter(({ scenario }) => scenario.about === 'cost');
  const outages = results.filter(({ scenario }) => scenario.about === 'outage');
  const { node, tools, rounds, capSeconds } = surroundings;
  return [
    [machineText(surroundings, rounds), `Node ${node}, ${tools.join(', ')}.`].join('\n'),
    ...leftOutText(results),
    ...(healthy.length === 0 ? [] : ['### What the relay costs', costTable(healthy, capSeconds)]),
    ...(outages.length === 0 ? [] : ['### The outage, into engines', outageTable(outages, capSeconds)]),
    '### Against the targets, with engines',
    targetTable(results),
  ].join('\n\n');
}

function leftOutText(results: readonly EngineResult[]): readonly string[] {
  const wanted = new Map(results.flatMap(({ leftOut }) => leftOut.map(({ title, missing }) => [title, missing])));
  if (wanted.size === 0) return [];
  return ['Not measured here:', [...wanted].map(([title, missing]) => `- ${title}: needs ${missing}`).join('\n')];
}

function costTable(results: readonly EngineResult[], capSeconds: number | null): string {
  const headings = ['what', 'tool', 'time', '× docker pull', 'MB/s', 'CPU-s/GB', 'memory growth'];
  const rows = results.flatMap((result) =>
    result.standings.map(({ contender, summary }, index) => {
      const head = [index === 0 ? result.scenario.title : '', contender.title];
      if (summary.ending !== 'done') return [...head, endingText(summary, capSeconds ?? result.scenario.capSeconds)];
      const { median } = summary.seconds;
      return [
        ...head,
        spreadText(summary.seconds, 2, 's'),
        ratio(median, engineSeconds(result, contender)),
        (result.blobBytes / 1e6 / median).toFixed(0),
        cpuPerGb(summary.cpuSeconds, result.blobBytes),
        summary.rssGrowthBytes === null ? '' : mebibytes(summary.rssGrowthBytes.max),
      ];
    }),
  );
  return markdownTable(headings, rows, new Set([3, 4, 5, 6]));
}

function outageTable(results: readonly EngineResult[], capSeconds: number | null): string {
  const headings = ['registry A', 'tool', 'time', '× limit', '× docker pull', 'from A', 'from B', 'sent twice'];
  const rows = results.flatMap((result) =>
    result.standings.map(({ contender, summary }, index) => {
      const head = [index === 0 ? result.scenario.title : '', contender.title];
      if (summary.ending !== 'done') return [...head, endingText(summary, capSeconds ?? result.scenario.capSeconds)];
      const { sentBytes, seconds } = summary;
      return [
        ...head,
        spreadText(seconds, 2, 's'),
        ratio(seconds.median, limitSeconds(result)),
        ratio(seconds.median, engineSeconds(result, contender)),
        ...(sentBytes === null
          ? []
          : [
              megabytes(sentBytes.A.median),
              megabytes(sentBytes.B.median),
              megabytes(Math.max(0, sentBytes.A.median + sentBytes.B.median - result.blobBytes)),
            ]),
      ];
    }),
  );
  return markdownTable(headings, rows, new Set([3, 4, 5, 6, 7]));
}

function targetTable(results: readonly EngineResult[]): string {
  const rows = results.flatMap((result) => [
    ...result.standings
      .filter(({ contender: { subject, role } }) => subject === 'pull-failover' && role === 'measured')
      .flatMap((own) => targetRows(result, own)),
    ...controlRows(result),
  ]);
  return markdownTable(['scenario', 'engine', 'target', 'measured', 'met'], rows, new Set());
}

function targetRows(result: EngineResult, own: EngineStanding): readonly (readonly string[])[] {
  const { scenario, blobBytes } = result;
  const { targets } = scenario;
  const { contender, summary } = own;
  const head = [scenario.title, contender.engine];
  if (summary.ending !== 'done') return [[...head, 'the pull succeeds', 'it did not', 'no']];
  const rows: (readonly string[])[] = [];
  const seconds = summary.seconds.median;
  const engine = engineSeconds(result, contender);
  if (targets.ratio !== null && engine !== null) {
    const measured = seconds / engine;
    const target = `≤ ${targets.ratio.toFixed(2)} × docker pull`;
    rows.push([...head, target, `${measured.toFixed(2)} ×`, yesNo(measured <= targets.ratio)]);
  }
  if (targets.allowedMs !== null && engine !== null) {
    const allowed = engine + targets.allowedMs / 1_000;
    const target = `≤ docker pull + ${targets.allowedMs / 1_000} s = ${allowed.toFixed(2)} s`;
    rows.push([...head, target, `${seconds.toFixed(2)} s`, yesNo(seconds <= allowed)]);
  }
  if (targets.cpuSecondsPerGb !== null && summary.cpuSeconds !== null) {
    const measured = summary.cpuSeconds.median / (blobBytes / 1e9);
    const target = `≤ ${targets.cpuSecondsPerGb} CPU-s/GB, hashing included`;
    rows.push([...head, target, measured.toFixed(2), yesNo(measured <= targets.cpuSecondsPerGb)]);
  }
  if (targets.rssGrowthBytes !== null && summary.rssGrowthBytes !== null) {
    const { max } = summary.rssGrowthBytes;
    const target = `memory grows by ≤ ${mebibytes(targets.rssGrowthBytes)}`;
    rows.push([...head, target, `${mebibytes(max)} at most`, yesNo(max <= targets.rssGrowthBytes)]);
  }
  return rows;
}

/** How far two runs of one and the same tool differ: no smaller difference between tools means anything. */
function controlRows(result: EngineResult): readonly (readonly string[])[] {
  const { scenario, standings } = result;
  const differences = standings.flatMap(({ contender: { subject, engine, role }, summary }) => {
    const first = doneOf(
      standings,
      (other) => other.subject === subject && other.engine === engine && other.role !== 'control',
    );
    if (role !== 'control' || summary.ending !== 'done' || first === null) return [];
    return [`${subject} ${ratio(summary.seconds.median, first.seconds.median)} ×`];
  });
  return differences.length === 0 ? [] : [[scenario.title, '', 'the same tool twice', differences.join(', '), '']];
}

/** What the engine itself takes, where nothing fails; for a tool without an engine of its own, the first engine. */
function engineSeconds({ standings }: EngineResult, { engine }: EngineContender): number | null {
  const own = doneOf(standings, (other) => other.role === 'healthy' && other.engine === engine);
  return (own ?? doneOf(standings, ({ role }) => role === 'healthy'))?.seconds.median ?? null;
}

function doneOf(standings: readonly EngineStanding[], is: (contender: EngineContender) => boolean): Done | null {
  const summary = standings.find(({ contender }) => is(contender))?.summary;
  return summary?.ending === 'done' ? summary : null;
}

function limitSeconds({ scenario, blobBytes }: EngineResult): number | null {
  const rate = scenario.bandwidth?.totalBytesPerSecond;
  return rate === undefined ? null : blobBytes / rate;
}
