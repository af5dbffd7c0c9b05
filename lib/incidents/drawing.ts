import { escapeHtml } from './escape-html.js';
import type { AffectedOperation, Incident, OperationOutcome, RegistryThroughput } from './incident.js';
import { operationOutcomes } from './incident.js';
import { actOf, bytesInWords, clockInWords, nameOf, outcomeOf, outcomeWords, summaryOf } from './incident-words.js';
import { type TimeAxis, layTime } from './time-axis.js';
import { circuitLanes, type CircuitSpan } from './timeline.js';

/** The drawing's own units; a browser on a desk shows them as pixels, others scale them. */
const width = 1_000;
const left = 210;
const right = width - 16;
const laneHeight = 34;
const barHeight = 18;
const headingHeight = 30;
const chartHeight = 46;
const rowHeight = 13;
const markSize = 4.5;

/** Letters of a label that fit beside the lanes. */
const maxLabelLength = 30;
/** Rows in which operations that overlap are told apart. */
const maxRows = 8;
const maxKinds = 6;
const maxCharts = 6;

/** A part of the drawing, as high as it needs to be. */
interface Part {
  readonly height: number;
  /** SVG, drawn from y = 0 on. */
  readonly shapes: string;
}

/** Draws the incident over time: circuits, operators' acts, operations, and what each registry brought. */
export function drawIncident(incident: Incident): string {
  const axis = layTime(incident.fromMs, incident.untilMs, left, right);
  const parts = [
    drawCircuits(incident, axis),
    drawActs(incident, axis),
    drawOperations(incident, axis),
    drawThroughput(incident, axis),
  ].filter(({ height }) => height > 0);
  const bodyHeight = parts.reduce((sum, { height }) => sum + height, 0);
  const height = bodyHeight + 34;
  let top = 0;
  const placed = parts.map((part) => {
    const shapes = `<g transform="translate(0 ${top})">${part.shapes}</g>`;
    top += part.height;
    return shapes;
  });
  return [
    `<svg viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="drawing-title" aria-describedby="drawing-words">`,
    '<title id="drawing-title">The incident over time</title>',
    `<desc id="drawing-words">${escapeHtml(summaryOf(incident).join(' '))} The tables below say the same in words.</desc>`,
    ...drawAxis(incident, axis, bodyHeight),
    ...placed,
    '</svg>',
  ].join('\n');
}

function drawAxis(incident: Incident, axis: TimeAxis, bodyHeight: number): readonly string[] {
  const lines = axis.ticks.map(({ atMs, label }) => {
    const x = round(axis.x(atMs));
    // A label at the very end would be cut off.
    const anchor = x > right - 24 ? 'end' : x < left + 24 ? 'start' : 'middle';
    return [
      `<line class="grid" x1="${x}" y1="8" x2="${x}" y2="${bodyHeight + 6}"/>`,
      `<text class="tick" x="${x}" y="${bodyHeight + 22}" text-anchor="${anchor}">${escapeHtml(label)}</text>`,
    ].join('');
  });
  const ends = [incident.openedAtMs, ...(incident.closedAtMs === null ? [] : [incident.closedAtMs])].map((atMs) => {
    const x = round(axis.x(atMs));
    return `<line class="end" x1="${x}" y1="8" x2="${x}" y2="${bodyHeight + 6}"/>`;
  });
  return [...lines, ...ends, text(left - 12, bodyHeight + 22, 'UTC', 'tick', 'end')];
}

function drawCircuits(incident: Incident, axis: TimeAxis): Part {
  const lanes = circuitLanes(incident);
  if (lanes.length === 0) return nothing;
  const shapes = lanes.map(({ registry, phase, spans }, at) => {
    const y = headingHeight + at * laneHeight;
    const bars = spans.map((span) => drawSpan(span, axis, y, `${registry} × ${phase}`, incident.openedAtMs));
    return [...label(registry, phase, y), ...bars].join('');
  });
  return part('Circuits', headingHeight + lanes.length * laneHeight, [...circuitLegend, ...shapes]);
}

/** The colours in words, for spans that are too short to carry theirs. */
const circuitLegend: readonly string[] = (['closed', 'open', 'half-open', 'held'] as const).map((state, at) => {
  const x = left + at * 90;
  return `<rect class="swatch ${state}" x="${x}" y="9" width="10" height="10" rx="2"/>${text(x + 15, 18, state, 'tick')}`;
});

function drawSpan(
  { state, fromMs, toMs }: CircuitSpan,
  axis: TimeAxis,
  y: number,
  of: string,
  besideMs: number,
): string {
  const x = round(axis.x(fromMs));
  // A state that took no time to speak of is seen all the same.
  const wide = Math.max(round(axis.x(toMs) - x), state === 'closed' ? 0 : 2);
  const title = `${of}: ${state} from ${clockInWords(fromMs, besideMs)} to ${clockInWords(toMs, besideMs)}`;
  const word = wide > state.length * 7 + 10 ? text(x + wide / 2, y + 13, state, 'word', 'middle') : '';
  return `<g><title>${escapeHtml(title)}</title><rect class="${state}" x="${x}" y="${y}" width="${wide}" height="${barHeight}" rx="2"/>${word}</g>`;
}

function drawActs(incident: Incident, axis: TimeAxis): Part {
  const acts = incident.operatorActs;
  if (acts.length === 0) return nothing;
  const shapes = acts.map((act, at) => {
    const x = round(axis.x(act.atMs));
    const y = headingHeight + 8;
    const title = `${clockInWords(act.atMs, incident.openedAtMs)} ${actOf(act)}`;
    // The first ones have the number that they have in the table.
    const number = at < 99 ? text(x, y + 4, String(at + 1), 'number', 'middle') : '';
    return `<g><title>${escapeHtml(title)}</title><circle class="act" cx="${x}" cy="${y}" r="9"/>${number}</g>`;
  });
  return part('Operators', headingHeight + laneHeight, [text(0, headingHeight + 12, 'acts', 'label'), ...shapes]);
}

function drawOperations(incident: Incident, axis: TimeAxis): Part {
  if (incident.operations.length === 0) return nothing;
  const kinds = [...new Set(incident.operations.map(({ kind }) => kind))];
  const shown = kinds
    .map((kind) => [kind ?? 'of no kind', incident.operations.filter((each) => each.kind === kind)] as const)
    .toSorted(([, a], [, b]) => b.length - a.length)
    .slice(0, maxKinds);
  let y = headingHeight;
  const shapes = shown.map(([kind, operations]) => {
    const rows = packRows(operations, axis);
    const drawn = operations.map((operation) => {
      const row = rows.get(operation) ?? 0;
      return drawOperation(operation, axis, y + row * rowHeight + rowHeight / 2, incident);
    });
    const count = Math.max(...rows.values()) + 1;
    const shape = [...label(kind, `${operations.length} touched`, y), ...drawn].join('');
    y += Math.max(laneHeight, count * rowHeight + 10);
    return shape;
  });
  return part(`Operations ${legend}`, y, shapes);
}

function drawOperation(operation: AffectedOperation, axis: TimeAxis, y: number, incident: Incident): string {
  const { startedAtMs, endedAtMs, outcome, image, engine } = operation;
  const [from, to] = [round(axis.x(startedAtMs)), round(axis.x(endedAtMs ?? incident.untilMs))];
  const began = clockInWords(startedAtMs, incident.openedAtMs);
  const title = `${nameOf(operation)} ${image} on ${engine}, from ${began}: ${outcomeOf(operation)}`;
  return `<g class="${outcome}"><title>${escapeHtml(title)}</title><line class="run" x1="${from}" y1="${round(y)}" x2="${to}" y2="${round(y)}"/>${mark(outcome, to, round(y))}</g>`;
}

/** Each outcome has a shape of its own: colours alone say nothing to many, and nothing in print. */
function mark(outcome: OperationOutcome, x: number, y: number): string {
  const s = markSize;
  switch (outcome) {
    case 'failed':
      return `<path class="mark cross" d="M${x - s} ${y - s}L${x + s} ${y + s}M${x - s} ${y + s}L${x + s} ${y - s}"/>`;
    case 'late':
      return `<path class="mark" d="M${x} ${y - s}L${x + s} ${y}L${x} ${y + s}L${x - s} ${y}Z"/>`;
    case 'aborted':
      return `<rect class="mark" x="${x - s + 1}" y="${y - s + 1}" width="${2 * s - 2}" height="${2 * s - 2}"/>`;
    case 'running':
      return `<path class="mark" d="M${x - s} ${y - s}L${x + s} ${y}L${x - s} ${y + s}Z"/>`;
    case 'saved':
      return `<circle class="mark" cx="${x}" cy="${y}" r="${s - 0.5}"/>`;
  }
}

/** The row of each operation: the first that is free by then; when all are taken, the one that is free first. */
function packRows(operations: readonly AffectedOperation[], axis: TimeAxis): ReadonlyMap<AffectedOperation, number> {
  const freeFrom: number[] = [];
  const rows = new Map<AffectedOperation, number>();
  for (const operation of operations) {
    const from = axis.x(operation.startedAtMs);
    const to = axis.x(operation.endedAtMs ?? axis.toMs) + 2 * markSize;
    const free = freeFrom.findIndex((x) => x <= from);
    const row =
      free >= 0 ? free : freeFrom.length < maxRows ? freeFrom.length : freeFrom.indexOf(Math.min(...freeFrom));
    freeFrom[row] = Math.max(to, freeFrom[row] ?? 0);
    rows.set(operation, row);
  }
  return rows;
}

function drawThroughput(incident: Incident, axis: TimeAxis): Part {
  const { registries, stepMs } = incident.throughput;
  const shown = registries.filter(({ bytes }) => bytes > 0).slice(0, maxCharts);
  if (shown.length === 0) return nothing;
  // One scale for all: they are to be compared.
  const most = Math.max(...shown.flatMap(({ steps }) => steps));
  const shapes = shown.map((registry, at) => {
    const y = headingHeight + at * (chartHeight + 10);
    const rate = (Math.max(...registry.steps) * 1_000) / stepMs;
    const words = `${bytesInWords(registry.bytes)}, at most ${bytesInWords(Math.round(rate))}/s`;
    return [
      ...label(registry.registry, words, y + 10),
      `<line class="grid" x1="${left}" y1="${y + chartHeight}" x2="${right}" y2="${y + chartHeight}"/>`,
      `<g><title>${escapeHtml(`${registry.registry}: ${words}`)}</title><path class="bytes" d="${areaOf(registry, incident, axis, y, most)}"/></g>`,
    ].join('');
  });
  return part('Throughput per registry', headingHeight + shown.length * (chartHeight + 10), shapes);
}

function areaOf(
  { steps }: RegistryThroughput,
  { throughput: { fromMs, stepMs } }: Incident,
  axis: TimeAxis,
  top: number,
  most: number,
): string {
  const bottom = top + chartHeight;
  const xAt = (step: number): number => round(axis.x(fromMs + step * stepMs));
  const columns = steps.map((bytes, step) => `V${round(bottom - (bytes / most) * chartHeight)}H${xAt(step + 1)}`);
  return `M${xAt(0)} ${bottom}${columns.join('')}V${bottom}Z`;
}

const nothing: Part = { height: 0, shapes: '' };

function part(heading: string, height: number, shapes: readonly string[]): Part {
  return { height, shapes: [text(0, 18, heading, 'heading'), ...shapes].join('\n') };
}

/** What a lane is, in two lines beside it. */
function label(name: string, detail: string, y: number): readonly string[] {
  const short = name.length > maxLabelLength ? `${name.slice(0, 12)}…${name.slice(-(maxLabelLength - 13))}` : name;
  return [
    `<g><title>${escapeHtml(name)}</title>${text(0, y + 9, short, 'label')}</g>`,
    text(0, y + 22, detail.length > maxLabelLength + 4 ? `${detail.slice(0, maxLabelLength)}…` : detail, 'detail'),
  ];
}

/** The shapes in words: `✕ failed ◆ late …`. */
const signs: Readonly<Record<OperationOutcome, string>> = {
  failed: '✕',
  late: '◆',
  aborted: '■',
  running: '▶',
  saved: '●',
};
const legend: string = `(${operationOutcomes.map((outcome) => `${signs[outcome]} ${outcomeWords[outcome]}`).join(', ')})`;

function text(
  x: number,
  y: number,
  words: string,
  style: string,
  anchor: 'start' | 'middle' | 'end' = 'start',
): string {
  return `<text class="${style}" x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${escapeHtml(words)}</text>`;
}

/** A tenth of a pixel is not seen, and long numbers make a page heavy. */
function round(value: number): number {
  return Math.round(value * 10) / 10;
}
