import type { Incident, KindTotals } from './incident.js';
import { operationOutcomes } from './incident.js';
import {
  bytesInWords,
  clockInWords,
  countOf,
  dateInWords,
  durationInWords,
  leftOutOf,
  nameOf,
  outcomeOf,
  outcomeWords,
  summaryOf,
  titleOf,
} from './incident-words.js';
import { circuitLanes, storyOf } from './timeline.js';

/** An incident as Markdown with tables (GitHub's, GitLab's and most wikis'). */
export function renderMarkdown(incident: Incident): string {
  const sections = [
    `# ${escaped(titleOf(incident))}`,
    summaryOf(incident)
      .map((sentence) => `- ${escaped(sentence)}`)
      .join('\n'),
    section('Circuits', circuitTable(incident)),
    section('What happened', storyTable(incident)),
    section('Operations by kind', totalsTable(incident.totals)),
    section('Operations', operationTable(incident)),
    section('Bytes by registry', byteTable(incident)),
    leftOutOf(incident).map(escaped).join('\n'),
    `Incident ${escaped(incident.id)}; times are UTC, as one host saw them.`,
  ];
  return `${sections.filter((text) => text !== '').join('\n\n')}\n`;
}

function section(title: string, body: string): string {
  return body === '' ? '' : `## ${title}\n\n${body}`;
}

function circuitTable(incident: Incident): string {
  const rows = circuitLanes(incident).map(({ registry, phase, spans }) => {
    const lengthOf = (state: string): string => {
      const ms = spans.filter((span) => span.state === state).reduce((sum, span) => sum + span.toMs - span.fromMs, 0);
      return ms === 0 ? '' : durationInWords(ms);
    };
    const openings = spans.filter(({ state }) => state === 'open').length;
    return [registry, phase, String(openings), lengthOf('open'), lengthOf('half-open'), lengthOf('held')];
  });
  return table(['registry', 'phase', 'openings', 'open', 'half-open', 'held'], rows);
}

function storyTable(incident: Incident): string {
  const rows = storyOf(incident).map(({ atMs, text }) => [clockInWords(atMs, incident.openedAtMs), text]);
  return table([`${dateInWords(incident.openedAtMs).slice(0, 10)} UTC`, 'what'], rows);
}

function totalsTable(totals: readonly KindTotals[]): string {
  const rows = totals.flatMap(({ kind, pulls, affected, byPhase }) => {
    if (countOf(affected) === 0) return [];
    const numbers = (counts: KindTotals['affected']): readonly string[] =>
      operationOutcomes.map((outcome) => String(counts[outcome]));
    const name = kind ?? 'of no kind';
    return [
      [name, 'all', String(pulls), ...numbers(affected)],
      ...(['metadata', 'layers', 'extract'] as const)
        .filter((phase) => countOf(byPhase[phase]) > 0)
        .map((phase) => [name, phase, '', ...numbers(byPhase[phase])]),
    ];
  });
  return table(['kind', 'touched in', 'ran', ...operationOutcomes.map((outcome) => outcomeWords[outcome])], rows);
}

function operationTable(incident: Incident): string {
  const rows = incident.operations.map((operation) => [
    clockInWords(operation.startedAtMs, incident.openedAtMs),
    nameOf(operation),
    operation.image,
    operation.engine,
    operation.phases.join(', '),
    outcomeOf(operation),
    operation.reason?.message ?? '',
  ]);
  return table(['began', 'operation', 'image', 'engine', 'phases', 'outcome', 'why'], rows);
}

function byteTable({ throughput }: Incident): string {
  const rows = throughput.registries.map(({ registry, bytes, steps }) => {
    const fastest = (Math.max(0, ...steps) * 1_000) / throughput.stepMs;
    return [registry, bytesInWords(bytes), `${bytesInWords(Math.round(fastest))}/s`];
  });
  return table(['registry', 'bytes', 'fastest'], rows);
}

/** Empty without rows. */
function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const line = (cells: readonly string[]): string => `| ${cells.map(escaped).join(' | ')} |`;
  return [line(headings), `|${headings.map(() => ' --- |').join('')}`, ...rows.map(line)].join('\n');
}

// oxlint-disable-next-line no-control-regex
const unprintable = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g;

/**
 * Text as text, wherever it stands: no markup, no link that a tenant wrote, no end of a cell. Escaped are the characters
 * that mean something in the middle of a line, and the colon that would make a bare address a link.
 */
function escaped(text: string): string {
  return text
    .replace(unprintable, ' ')
    .replace(/[\\`*_[\]<>#|~&$@]/g, '\\$&')
    .replace(/(https?|ftp|mailto):/gi, '$1\\:')
    .replace(/\bwww\./gi, 'www\\.');
}
