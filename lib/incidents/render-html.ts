import { drawIncident } from './drawing.js';
import { escapeHtml } from './escape-html.js';
import type { Incident, OutcomeCounts } from './incident.js';
import { operationOutcomes } from './incident.js';
import {
  actOf,
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
import { pageStyle } from './page-style.js';
import { circuitLanes, storyOf } from './timeline.js';

/** Nothing is fetched and nothing runs, whatever a name of a tenant contains. */
const contentPolicy = "default-src 'none'; style-src 'unsafe-inline'";

/** One page that needs nothing but itself. */
export function renderHtml(incident: Incident): string {
  const title = escapeHtml(titleOf(incident));
  const state =
    incident.closedAtMs === null ? '<span class="state still">open</span>' : '<span class="state">closed</span>';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${escapeHtml(contentPolicy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>${pageStyle}</style>
</head>
<body>
<main>
<h1>${title} ${state}</h1>
<ul class="summary">
${summaryOf(incident)
  .map((sentence) => `<li>${escapeHtml(sentence)}</li>`)
  .join('\n')}
</ul>
<div class="drawing" tabindex="0" role="region" aria-label="The incident over time">
${drawIncident(incident)}
</div>
${sectionsOf(incident).join('\n')}
<footer>Incident ${escapeHtml(incident.id)}. Times are UTC. Bytes are those that pulls told of; work that engines shared counts for each.</footer>
</main>
</body>
</html>
`;
}

function sectionsOf(incident: Incident): readonly string[] {
  const leftOut = leftOutOf(incident).map((sentence) => `<p class="note">${escapeHtml(sentence)}</p>`);
  return [
    circuitsOf(incident),
    actsOf(incident),
    storySection(incident),
    totalsOf(incident),
    operationsOf(incident),
    bytesOf(incident),
    ...leftOut,
  ].filter((section) => section !== '');
}

function circuitsOf(incident: Incident): string {
  const rows = circuitLanes(incident).map(({ registry, phase, spans }): Row => {
    const lengthOf = (state: string): Cell => {
      const ms = spans.filter((span) => span.state === state).reduce((sum, span) => sum + span.toMs - span.fromMs, 0);
      return number(ms === 0 ? '–' : durationInWords(ms));
    };
    const openings = spans.filter(({ state }) => state === 'open').length;
    const cells = [registry, phase, number(openings), lengthOf('open'), lengthOf('half-open'), lengthOf('held')];
    return { cells };
  });
  return section(
    'Circuits',
    ['registry', 'phase', number('openings'), number('open'), number('half-open'), number('held')],
    rows,
  );
}

function actsOf(incident: Incident): string {
  const rows = incident.operatorActs.map((act, at): Row => ({
    cells: [number(at + 1), time(clockInWords(act.atMs, incident.openedAtMs)), actOf(act)],
  }));
  return section('Operators', [number('#'), 'time', 'what'], rows);
}

function storySection(incident: Incident): string {
  const rows = storyOf(incident).map(({ atMs, text }): Row => ({
    cells: [time(clockInWords(atMs, incident.openedAtMs)), text],
  }));
  return section('What happened', [`${dateInWords(incident.openedAtMs).slice(0, 10)} UTC`, 'what'], rows);
}

function totalsOf({ totals }: Incident): string {
  const numbers = (counts: OutcomeCounts): readonly Cell[] =>
    operationOutcomes.map((outcome) => number(counts[outcome].toLocaleString('en-US')));
  const rows = totals.flatMap(({ kind, pulls, affected, byPhase }): readonly Row[] => {
    if (countOf(affected) === 0) return [];
    const name = kind ?? 'of no kind';
    return [
      { cells: [name, 'all', number(pulls.toLocaleString('en-US')), ...numbers(affected)] },
      ...(['metadata', 'layers', 'extract'] as const)
        .filter((phase) => countOf(byPhase[phase]) > 0)
        .map((phase) => ({ cells: [name, phase, '', ...numbers(byPhase[phase])] })),
    ];
  });
  const headings = operationOutcomes.map((outcome) => number(outcomeWords[outcome]));
  return section('Operations by kind and phase', ['kind', 'touched in', number('ran'), ...headings], rows);
}

function operationsOf(incident: Incident): string {
  const rows = incident.operations.map((operation): Row => ({
    style: operation.outcome,
    cells: [
      time(clockInWords(operation.startedAtMs, incident.openedAtMs)),
      nameOf(operation),
      operation.image,
      operation.engine,
      operation.phases.join(', '),
      { text: outcomeOf(operation), style: 'outcome' },
      operation.reason?.message ?? '',
    ],
  }));
  return section('Operations', ['began', 'operation', 'image', 'engine', 'phases', 'outcome', 'why'], rows);
}

function bytesOf({ throughput }: Incident): string {
  const rows = throughput.registries.map(({ registry, bytes, steps }): Row => {
    const fastest = (Math.max(0, ...steps) * 1_000) / throughput.stepMs;
    return { cells: [registry, number(bytesInWords(bytes)), number(`${bytesInWords(Math.round(fastest))}/s`)] };
  });
  const step = durationInWords(throughput.stepMs);
  return section('Bytes by registry', ['registry', number('bytes'), number(`fastest (over ${step})`)], rows);
}

/** One cell; a class says how it is set. */
type Cell = string | { readonly text: string; readonly style: string };

interface Row {
  readonly style?: string;
  readonly cells: readonly Cell[];
}

function number(value: number | string): Cell {
  return { text: String(value), style: 'number' };
}

function time(words: string): Cell {
  return { text: words, style: 'time' };
}

/** Empty without rows. */
function section(title: string, headings: readonly Cell[], rows: readonly Row[]): string {
  if (rows.length === 0) return '';
  const body = rows.map(({ style, cells }) => {
    const ofRow = style === undefined ? '' : ` class="${style}"`;
    return `<tr${ofRow}>${cells.map((cell) => element('td', cell)).join('')}</tr>`;
  });
  return `<section>
<h2>${escapeHtml(title)}</h2>
<div class="table"><table aria-label="${escapeHtml(title)}">
<thead><tr>${headings.map((cell) => element('th', cell)).join('')}</tr></thead>
<tbody>
${body.join('\n')}
</tbody>
</table></div>
</section>`;
}

function element(name: 'td' | 'th', cell: Cell): string {
  const { text, style } = typeof cell === 'string' ? { text: cell, style: '' } : cell;
  const attributes = `${name === 'th' ? ' scope="col"' : ''}${style === '' ? '' : ` class="${style}"`}`;
  return `<${name}${attributes}>${escapeHtml(text)}</${name}>`;
}
