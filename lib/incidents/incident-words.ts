import type { Control } from '../vocabulary/control.js';
import type {
  AffectedOperation,
  CircuitStep,
  Incident,
  OperationOutcome,
  OperatorStep,
  OutcomeCounts,
  SavedBy,
} from './incident.js';
import { operationOutcomes } from './incident.js';
import { sumOf } from './kind-counts.js';

const byteUnits = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** `3.4 MB`, in powers of 1000 as registries count. */
export function bytesInWords(bytes: number): string {
  const power = Math.min(byteUnits.length - 1, bytes < 1 ? 0 : Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** power;
  return `${power === 0 ? value : value.toFixed(value < 100 ? 1 : 0)} ${byteUnits[power]}`;
}

/** `0.8 s`, `3 min 20 s`, `2 h 59 min`, `3 d 4 h`. */
export function durationInWords(ms: number): string {
  const seconds = ms / 1_000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `2017-07-26 18:36:04`, in UTC: the hosts of a fleet are not in one time zone. */
export function dateInWords(atMs: number): string {
  return isoOf(atMs).replace('T', ' ').slice(0, 19);
}

/** `18:36:04`, with the date where it is not that of `besideMs`. */
export function clockInWords(atMs: number, besideMs: number): string {
  const date = dateInWords(atMs);
  return date.slice(0, 10) === dateInWords(besideMs).slice(0, 10) ? date.slice(11) : date;
}

/** A file may hold any number; a date of ECMAScript does not. */
function isoOf(atMs: number): string {
  const date = new Date(atMs);
  return Number.isNaN(date.getTime()) ? 'at an unknown time' : date.toISOString();
}

/** `2 operations`. */
export function countInWords(count: number, what: string): string {
  return `${count.toLocaleString('en-US')} ${what}${count === 1 ? '' : 's'}`;
}

/** What people call the outcomes. */
export const outcomeWords: Readonly<Record<OperationOutcome, string>> = {
  failed: 'failed',
  late: 'late',
  aborted: 'ended by the caller',
  running: 'under way',
  saved: 'saved',
};

const savedWords: Readonly<Record<SavedBy, string>> = {
  failover: 'failed over to another registry',
  plan: 'asked another registry first',
  cache: "used the engine's own copy",
  retry: 'was served after all',
};

const seenWords: Readonly<Record<NonNullable<CircuitStep['seenBy']>, string>> = {
  pull: 'by pulls',
  probe: 'by a probe',
  canary: 'by a canary',
  state: 'known from another process',
};

/** `quay.io/aptible: layers, metadata`: what failed. */
export function titleOf(incident: Incident): string {
  const parts = incident.registries.map((registry) => {
    const phases = new Set(incident.circuits.filter((step) => step.registry === registry).map(({ phase }) => phase));
    return `${registry} (${[...phases].join(', ')})`;
  });
  return parts.length === 0 ? 'Registry incident' : `Registry incident: ${parts.join('; ')}`;
}

/** What happened, in some sentences. */
export function summaryOf(incident: Incident): readonly string[] {
  return [whenOf(incident), ...beginningOf(incident), operationsOf(incident), ...movedOf(incident)];
}

function whenOf({ openedAtMs, closedAtMs }: Incident): string {
  const from = dateInWords(openedAtMs);
  if (closedAtMs === null) return `Opened at ${from} UTC, and still open.`;
  const lasted = durationInWords(closedAtMs - openedAtMs);
  return `From ${from} to ${clockInWords(closedAtMs, openedAtMs)} UTC: ${lasted}.`;
}

function beginningOf({ circuits, failures }: Incident): readonly string[] {
  const first = circuits.find(({ state }) => state === 'open');
  if (first === undefined) return [];
  const seen = first.seenBy === null ? '' : `, seen ${seenWords[first.seenBy]}`;
  const because = first.reason === null ? '' : `: ${asClause(first.reason.message)}`;
  const began = `It began with the ${first.phase} of ${first.registry}${seen}${because}.`;
  const engines = new Set(
    failures.filter(({ registry, phase }) => registry === first.registry && phase === first.phase).flatMap(enginesOf),
  );
  return engines.size > 1 ? [began, `${engines.size} engines saw it: the fault is not one host's.`] : [began];
}

function enginesOf({ engines }: { readonly engines: readonly string[] }): readonly string[] {
  return engines;
}

function operationsOf(incident: Incident): string {
  const counts = sumOf(incident.totals);
  const pulls = incident.totals.reduce((sum, totals) => sum + totals.pulls, 0);
  const touched = countOf(counts);
  if (touched === 0) return `None of ${countInWords(pulls, 'operation')} was touched.`;
  const longest = Math.max(0, ...incident.operations.map(({ lateMs }) => lateMs));
  const parts = operationOutcomes.flatMap((outcome) => {
    if (counts[outcome] === 0) return [];
    const late = outcome === 'late' && longest > 0 ? ` (by ${durationInWords(longest)} at most)` : '';
    return [`${counts[outcome].toLocaleString('en-US')} ${outcomeWords[outcome]}${late}`];
  });
  return `${touched.toLocaleString('en-US')} of ${countInWords(pulls, 'operation')} touched: ${parts.join(', ')}.`;
}

/** All outcomes together. */
export function countOf(counts: OutcomeCounts): number {
  return operationOutcomes.reduce((sum, outcome) => sum + counts[outcome], 0);
}

function movedOf({ failovers, throughput }: Incident): readonly string[] {
  const moves = failovers.reduce((sum, { count }) => sum + count, 0);
  const kept = failovers.reduce((sum, { bytesKept }) => sum + bytesKept, 0);
  const brought = throughput.registries.filter(({ bytes }) => bytes > 0);
  const bytes = brought.map((each) => `${bytesInWords(each.bytes)} from ${each.registry}`).join(', ');
  return [
    ...(moves === 0
      ? []
      : [`${countInWords(moves, 'failover')}, ${bytesInWords(kept)} kept that needed not be fetched again.`]),
    ...(bytes === '' ? [] : [`Fetched meanwhile: ${bytes}.`]),
  ];
}

/** What became of an operation, in words. */
export function outcomeOf({ outcome, savedBy, lateMs, error }: AffectedOperation): string {
  const late = lateMs > 0 ? `parked for ${durationInWords(lateMs)}` : '';
  const saved = savedBy === null ? '' : savedWords[savedBy];
  const failed = error === null ? '' : `${error.code}: ${error.message}`;
  const details = [late, saved, failed].filter((part) => part !== '');
  return details.length === 0 ? outcomeWords[outcome] : `${outcomeWords[outcome]}: ${details.join(', ')}`;
}

/** What an operator did, in words. */
export function actOf({ change, control, message }: OperatorStep): string {
  if (control === null) return message;
  const what = `${actWords(control)}${scopeWords(control)}`;
  const why = control.reason === '' ? '' : ` (${control.reason})`;
  switch (change) {
    case 'set':
      return `${control.actor}: ${what}${why}`;
    case 'released':
      return `released: ${what}`;
    case 'expired':
      return `expired: ${what}`;
    case 'refused':
      return message;
  }
}

function actWords({ act, registry, as }: Control): string {
  switch (act) {
    case 'prefer':
      return `prefer ${registry}`;
    case 'ban':
      return `ban ${registry}`;
    case 'hold':
      return `hold ${registry} as ${as ?? 'it is'}`;
  }
}

function scopeWords({ scope }: Control): string {
  const parts = [
    ...(scope.operationKind === undefined ? [] : [`kind ${scope.operationKind}`]),
    ...(scope.replicaSet === undefined ? [] : [`replica set ${scope.replicaSet}`]),
    ...(scope.phase === undefined ? [] : [`phase ${scope.phase}`]),
  ];
  return parts.length === 0 ? '' : ` for ${parts.join(', ')}`;
}

/** How a circuit changed, in words. */
export function stepOf({ registry, phase, state, reason, seenBy }: CircuitStep): string {
  const seen = seenBy === null ? '' : `, seen ${seenWords[seenBy]}`;
  const because = reason === null || state !== 'open' ? '' : `: ${reason.message}`;
  return `${registry} × ${phase} ${state}${seen}${because}`;
}

/** What the record had to leave out, one sentence each. */
export function leftOutOf({ leftOut }: Incident): readonly string[] {
  const parts: readonly (readonly [number, string])[] = [
    [leftOut.operations, 'further operations are counted, but not listed'],
    [leftOut.circuitSteps, 'changes of circuits in the middle are left out'],
    [leftOut.operatorActs, "operators' acts in the middle are left out"],
    [leftOut.failures, 'failures of further sorts are left out'],
    [leftOut.failovers, 'failovers of further sorts are left out'],
    [leftOut.bytes, 'bytes of further registries are not shown'],
  ];
  return parts.flatMap(([count, what]) => (count === 0 ? [] : [`${count.toLocaleString('en-US')} ${what}.`]));
}

/** A sentence as part of another one. */
function asClause(message: string): string {
  return message.replace(/\.$/, '');
}

/** `op-871 (database)`; the pull's id where the host gave none. */
export function nameOf({ kind, id, pullId }: AffectedOperation): string {
  const name = id ?? pullId;
  return kind === null ? name : `${name} (${kind})`;
}
