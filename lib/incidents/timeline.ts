import type { RegistryPhase } from '../vocabulary/phase.js';
import type { Incident, OperatorStep } from './incident.js';
import { actOf, stepOf } from './incident-words.js';

/** A stretch of time in which a circuit was in one state. */
export interface CircuitSpan {
  readonly state: 'closed' | 'open' | 'half-open' | 'held';
  readonly fromMs: number;
  readonly toMs: number;
}

/** One circuit over the time of the incident, without gaps. */
export interface CircuitLane {
  readonly registry: string;
  readonly phase: RegistryPhase;
  readonly spans: readonly CircuitSpan[];
}

/** Beyond it the drawing would be longer than a page; the table beside it has all. */
const maxLanes = 12;

/** The circuits that moved, each with its states from the beginning to the end of the record. */
export function circuitLanes(incident: Incident): readonly CircuitLane[] {
  const { fromMs, untilMs } = incident;
  const lanes = new Map<string, { registry: string; phase: RegistryPhase; spans: CircuitSpan[] }>();
  for (const { registry, phase, state, atMs } of incident.circuits) {
    const key = `${phase} ${registry}`;
    const lane = lanes.get(key) ?? { registry, phase, spans: [{ state: 'closed', fromMs, toMs: untilMs }] };
    lanes.set(key, lane);
    const at = Math.min(Math.max(atMs, fromMs), untilMs);
    const last = lane.spans.pop();
    // What was opened before the record begins has no closed time before it.
    if (last !== undefined && at > last.fromMs) lane.spans.push({ ...last, toMs: at });
    lane.spans.push({ state, fromMs: at, toMs: untilMs });
  }
  return [...lanes.values()].slice(0, maxLanes).map((lane) => ({ ...lane, spans: withHolds(lane, incident) }));
}

/** While an operator holds a circuit, that is what it is; beneath it goes on. */
function withHolds(lane: CircuitLane, incident: Incident): readonly CircuitSpan[] {
  return holdsOf(lane, incident)
    .reduce<readonly CircuitSpan[]>(
      (spans, hold) => [
        ...spans.flatMap((span) => [
          ...(span.fromMs < hold.fromMs ? [{ ...span, toMs: Math.min(span.toMs, hold.fromMs) }] : []),
          ...(span.toMs > hold.toMs ? [{ ...span, fromMs: Math.max(span.fromMs, hold.toMs) }] : []),
        ]),
        hold,
      ],
      lane.spans,
    )
    .toSorted((a, b) => a.fromMs - b.fromMs);
}

function holdsOf({ registry, phase }: CircuitLane, incident: Incident): readonly CircuitSpan[] {
  const isOf = ({ control }: OperatorStep): boolean =>
    control?.act === 'hold' &&
    control.registry === registry &&
    (control.scope.phase === undefined || control.scope.phase === phase);
  const { fromMs, untilMs, operatorActs } = incident;
  const spans: CircuitSpan[] = [];
  for (const act of operatorActs.filter((each) => isOf(each) && each.change === 'set')) {
    const end = operatorActs.find(
      (each) => each.change !== 'set' && each.control?.id === act.control?.id && each.atMs >= act.atMs,
    );
    // Two holds of one circuit do not overlap in the drawing.
    const from = Math.max(act.atMs, fromMs, spans.at(-1)?.toMs ?? fromMs);
    const to = Math.min(end?.atMs ?? untilMs, untilMs);
    if (to > from) spans.push({ state: 'held', fromMs: from, toMs: to });
  }
  return spans;
}

/** One line of the story. */
export interface StoryLine {
  readonly atMs: number;
  readonly sort: 'circuit' | 'operator' | 'failure' | 'failover';
  readonly text: string;
}

/** Everything that happened, in order: circuits, operators' acts, and the first failure and failover of each sort. */
export function storyOf(incident: Incident): readonly StoryLine[] {
  const lines: readonly StoryLine[] = [
    ...incident.failures.map(({ registry, phase, reason, firstAtMs, count, lastAtMs }) => ({
      atMs: firstAtMs,
      sort: 'failure' as const,
      text: `${registry} × ${phase} fails${timesInWords(count, firstAtMs, lastAtMs)}: ${reason.message}`,
    })),
    ...incident.failovers.map(({ phase, from, to, count, firstAtMs, lastAtMs }) => ({
      atMs: firstAtMs,
      sort: 'failover' as const,
      text: `${phase} moves from ${from} to ${to}${timesInWords(count, firstAtMs, lastAtMs)}`,
    })),
    ...incident.circuits.map((step) => ({ atMs: step.atMs, sort: 'circuit' as const, text: stepOf(step) })),
    ...incident.operatorActs.map((act) => ({ atMs: act.atMs, sort: 'operator' as const, text: actOf(act) })),
  ];
  return lines.toSorted((a, b) => a.atMs - b.atMs);
}

function timesInWords(count: number, firstAtMs: number, lastAtMs: number): string {
  if (count === 1) return '';
  const minutes = Math.round((lastAtMs - firstAtMs) / 60_000);
  return ` (${count.toLocaleString('en-US')} times${minutes < 1 ? '' : ` within ${minutes} min`})`;
}
