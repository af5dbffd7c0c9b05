import { endingText, mebibytes, megabytes, ratio, spreadText, yesNo } from './amounts.js';
import { type Machine, machineText } from './machine.js';
import { markdownTable } from './markdown.js';
import type { Placing, Result } from './measure.js';
import type { Done } from './summary.js';
import { cpuPerGb, judge, type Judgement, sentTwice } from './target.js';

/** What the numbers were measured on, and with. */
export interface Surroundings extends Machine {
  /** `Docker 20.10.24` */
  readonly tools: readonly string[];
  readonly rounds: number;
}

const headings: readonly string[] = [
  'scenario',
  'tool',
  'time',
  '× limit',
  '× reference',
  'from A',
  'from B',
  'sent twice',
  'CPU-s/GB',
  'memory growth',
  'target',
  'measured',
  'met',
];
const numbers: ReadonlySet<number> = new Set([3, 4, 5, 6, 7, 8, 9]);
/** Where the columns of targets begin. */
const targetColumn: number = headings.indexOf('target');

/** Sets all results as Markdown: the surroundings, how many targets are met, and the table. */
export function reportText(results: readonly Result[], surroundings: Surroundings): string {
  const { node, tools, rounds } = surroundings;
  const targets = results.flatMap((result) => result.placings.flatMap((placing) => judgedCells(result, placing)));
  const met = targets.filter((cells) => cells.at(-1) === yesNo(true)).length;
  const missed = targets.filter((cells) => cells.at(-1) === yesNo(false)).length;
  return [
    [machineText(surroundings, rounds), `Node ${node}, ${tools.join(', ')}.`].join('\n'),
    ...leftOutText(results),
    `${met} of ${met + missed} targets are met.`,
    markdownTable(headings, results.flatMap(rowsOf), numbers),
  ].join('\n\n');
}

function leftOutText(results: readonly Result[]): readonly string[] {
  const wanted = new Map(results.flatMap(({ leftOut }) => leftOut.map(({ title, missing }) => [title, missing])));
  if (wanted.size === 0) return [];
  return ['Not measured here:', [...wanted].map(([title, missing]) => `- ${title}: needs ${missing}`).join('\n')];
}

/** A line for each contender, and one more for each further target of it. */
function rowsOf(result: Result): readonly (readonly string[])[] {
  return result.placings.flatMap((placing, index) => {
    const [first = [], ...further] = judgedCells(result, placing);
    const head = [index === 0 ? result.scenario.title : '', placing.entrant.contender.title];
    const measured = measuredCells(result, placing);
    const blank = Array.from({ length: targetColumn - head.length - measured.length }, () => '');
    return [
      [...head, ...measured, ...blank, ...first],
      ...further.map((cells) => [...Array.from({ length: targetColumn }, () => ''), ...cells]),
    ];
  });
}

function measuredCells(result: Result, { entrant, summary }: Placing): readonly string[] {
  if (summary.ending !== 'done') return [endingText(summary)];
  const { scenario, blobBytes } = result;
  const { seconds, amounts } = summary;
  const reference = entrant.reference ?? scenario.reference;
  const twice = scenario.first === 0 ? sentTwice(summary, blobBytes) : null;
  const cpu = cpuPerGb(summary, blobBytes);
  return [
    spreadText(seconds, 2, 's'),
    ratio(seconds.median, limitSeconds(result)),
    ratio(seconds.median, findDone(result, reference)?.seconds.median ?? null),
    amounts.sentByA === undefined ? '' : megabytes(amounts.sentByA.median),
    amounts.sentByB === undefined ? '' : megabytes(amounts.sentByB.median),
    twice === null ? '' : megabytes(twice),
    cpu === null ? '' : cpu.toFixed(2),
    amounts.rssGrowthBytes === undefined ? '' : mebibytes(amounts.rssGrowthBytes.max),
  ];
}

/** Target, measured, met; of a control, how far two runs of one and the same tool differ. */
function judgedCells(result: Result, { entrant, summary }: Placing): readonly (readonly string[])[] {
  const { contender, targets } = entrant;
  if (contender.controlOf !== null) {
    const first = findDone(result, contender.controlOf);
    if (summary.ending !== 'done' || first === null) return [];
    return [['the same tool twice', `${ratio(summary.seconds.median, first.seconds.median)} ×`, '']];
  }
  if (targets.length === 0) return [];
  if (summary.ending !== 'done') return [['the pull succeeds', 'it does not', yesNo(false)]];
  return judgementsOf(result, { entrant, summary }).map(({ target, measured, isMet }) => [
    target,
    measured,
    yesNo(isMet),
  ]);
}

/** How every target of a contender stands, of those that can be told. */
export function judgementsOf(result: Result, { entrant, summary }: Placing): readonly Judgement[] {
  if (summary.ending !== 'done') return [];
  const find = (name: string): { readonly title: string; readonly summary: Done } | null => {
    const other = findDone(result, name);
    const title = result.placings.find((placing) => placing.entrant.contender.name === name)?.entrant.contender.title;
    return other === null || title === undefined ? null : { title, summary: other };
  };
  const { blobBytes } = result;
  return entrant.targets.flatMap((target) => {
    const judgement = judge(target, { summary, blobBytes, limitSeconds: limitSeconds(result), find });
    return judgement === null ? [] : [judgement];
  });
}

/** What a contender did, if all its pulls succeeded. */
export function findDone({ placings }: Result, name: string): Done | null {
  const summary = placings.find(({ entrant }) => entrant.contender.name === name)?.summary;
  return summary?.ending === 'done' ? summary : null;
}

/** No pull over one link can be faster; null without a link. */
export function limitSeconds({ scenario, blobBytes }: Result): number | null {
  const rate = scenario.bandwidth?.totalBytesPerSecond;
  return rate === undefined ? null : blobBytes / rate;
}
