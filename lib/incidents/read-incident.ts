import type { OperatorChanged, SeenBy } from '../events/pull-event.js';
import { isObject } from '../image/json-object.js';
import type { Control, ControlScope } from '../vocabulary/control.js';
import type { ErrorCode } from '../vocabulary/error-code.js';
import { type Phase, registryPhases } from '../vocabulary/phase.js';
import type { Cause, Reason, ReasonCode } from '../vocabulary/reason.js';
import {
  type AffectedOperation,
  type CircuitStep,
  type FailoverTally,
  type FailureTally,
  type Incident,
  type KindTotals,
  operationOutcomes,
  type OperatorStep,
  type OutcomeCounts,
  type RegistryThroughput,
  type SavedBy,
} from './incident.js';

const phases: readonly Phase[] = ['metadata', 'layers', 'extract'];
const states: readonly CircuitStep['state'][] = ['open', 'half-open', 'closed'];
const seers: readonly SeenBy[] = ['pull', 'probe', 'canary', 'state'];
const changes: readonly OperatorChanged['change'][] = ['set', 'released', 'expired', 'refused'];
const savers: readonly SavedBy[] = ['failover', 'plan', 'cache', 'retry'];

/** No list of an incident comes near it. */
const maxItems = 10_000;

/**
 * Reads an incident as `renderIncident(incident, 'json')` and the state write it.
 *
 * @throws TypeError that names the first thing which is not what it must be
 */
export function readIncident(value: unknown): Incident {
  const fields = fieldsOf(value, 'the incident');
  const throughput = fields.object('throughput');
  const leftOut = fields.object('leftOut');
  return {
    id: fields.text('id'),
    openedAtMs: fields.number('openedAtMs'),
    closedAtMs: fields.orNull('closedAtMs', fields.number),
    fromMs: fields.number('fromMs'),
    untilMs: fields.number('untilMs'),
    registries: fields.texts('registries'),
    circuits: fields.list('circuits', readCircuitStep),
    operatorActs: fields.list('operatorActs', readOperatorStep),
    failures: fields.list('failures', readFailure),
    failovers: fields.list('failovers', readFailover),
    operations: fields.list('operations', readOperation),
    totals: fields.list('totals', readTotals),
    throughput: {
      fromMs: throughput.number('fromMs'),
      stepMs: throughput.positive('stepMs'),
      registries: throughput.list('registries', readThroughput),
    },
    leftOut: {
      circuitSteps: leftOut.number('circuitSteps'),
      operatorActs: leftOut.number('operatorActs'),
      failures: leftOut.number('failures'),
      failovers: leftOut.number('failovers'),
      operations: leftOut.number('operations'),
      bytes: leftOut.number('bytes'),
    },
  };
}

function readCircuitStep(step: Fields): CircuitStep {
  return {
    atMs: step.number('atMs'),
    registry: step.text('registry'),
    phase: step.oneOf('phase', registryPhases),
    state: step.oneOf('state', states),
    reason: readReasonOrNull(step),
    seenBy: step.orNull('seenBy', (key) => step.oneOf(key, seers)),
  };
}

function readOperatorStep(step: Fields): OperatorStep {
  return {
    atMs: step.number('atMs'),
    change: step.oneOf('change', changes),
    control: step.orNull('control', (key) => readControl(step.object(key))),
    message: step.text('message'),
  };
}

function readControl(control: Fields): Control {
  return {
    id: control.text('id'),
    act: control.oneOf('act', ['prefer', 'ban', 'hold']),
    registry: control.text('registry'),
    scope: readScope(control.object('scope')),
    reason: control.text('reason'),
    actor: control.text('actor'),
    sinceMs: control.number('sinceMs'),
    untilMs: control.orNull('untilMs', control.number),
    inFlight: control.oneOf('inFlight', ['move', 'finish']),
    as: control.orNull('as', (key) => control.oneOf(key, ['open', 'closed'])),
    force: control.flag('force'),
    origin: control.oneOf('origin', ['call', 'file']),
  };
}

function readScope(scope: Fields): ControlScope {
  return {
    ...(scope.has('operationKind') ? { operationKind: scope.text('operationKind') } : {}),
    ...(scope.has('replicaSet') ? { replicaSet: scope.text('replicaSet') } : {}),
    ...(scope.has('phase') ? { phase: scope.oneOf('phase', registryPhases) } : {}),
  };
}

function readFailure(tally: Fields): FailureTally {
  return {
    registry: tally.text('registry'),
    phase: tally.oneOf('phase', phases),
    reason: readReason(tally.object('reason')),
    count: tally.number('count'),
    firstAtMs: tally.number('firstAtMs'),
    lastAtMs: tally.number('lastAtMs'),
    engines: tally.texts('engines'),
  };
}

function readFailover(tally: Fields): FailoverTally {
  return {
    phase: tally.oneOf('phase', phases),
    from: tally.text('from'),
    to: tally.text('to'),
    reason: readReason(tally.object('reason')),
    count: tally.number('count'),
    firstAtMs: tally.number('firstAtMs'),
    lastAtMs: tally.number('lastAtMs'),
    bytesKept: tally.number('bytesKept'),
  };
}

function readOperation(operation: Fields): AffectedOperation {
  return {
    pullId: operation.text('pullId'),
    kind: operation.orNull('kind', operation.text),
    id: operation.orNull('id', operation.text),
    image: operation.text('image'),
    engine: operation.text('engine'),
    phases: operation.texts('phases').map((phase) => wordOf(phase, phases, 'a phase')),
    outcome: operation.oneOf('outcome', operationOutcomes),
    savedBy: operation.orNull('savedBy', (key) => operation.oneOf(key, savers)),
    startedAtMs: operation.number('startedAtMs'),
    endedAtMs: operation.orNull('endedAtMs', operation.number),
    lateMs: operation.number('lateMs'),
    reason: readReasonOrNull(operation),
    error: operation.orNull('error', (key) => {
      const error = operation.object(key);
      return { code: error.text('code') as ErrorCode, message: error.text('message') };
    }),
  };
}

function readTotals(totals: Fields): KindTotals {
  const byPhase = totals.object('byPhase');
  return {
    kind: totals.orNull('kind', totals.text),
    pulls: totals.number('pulls'),
    affected: readCounts(totals.object('affected')),
    byPhase: {
      metadata: readCounts(byPhase.object('metadata')),
      layers: readCounts(byPhase.object('layers')),
      extract: readCounts(byPhase.object('extract')),
    },
  };
}

function readCounts(counts: Fields): OutcomeCounts {
  return {
    saved: counts.number('saved'),
    late: counts.number('late'),
    failed: counts.number('failed'),
    aborted: counts.number('aborted'),
    running: counts.number('running'),
  };
}

function readThroughput(registry: Fields): RegistryThroughput {
  return {
    registry: registry.text('registry'),
    bytes: registry.number('bytes'),
    steps: registry.numbers('steps'),
  };
}

function readReasonOrNull(fields: Fields): Reason | null {
  return fields.orNull('reason', (key) => readReason(fields.object(key)));
}

/** Words of a version that knows more of them are shown as they are. */
function readReason(reason: Fields): Reason {
  return {
    cause: reason.text('cause') as Cause,
    code: reason.text('code') as ReasonCode,
    message: reason.text('message'),
  };
}

/** The fields of one object of the document. */
interface Fields {
  has(key: string): boolean;
  readonly text: (key: string) => string;
  /** Finite: times, sizes and counts. */
  readonly number: (key: string) => number;
  readonly positive: (key: string) => number;
  flag(key: string): boolean;
  oneOf<const Word extends string>(key: string, words: readonly Word[]): Word;
  texts(key: string): readonly string[];
  numbers(key: string): readonly number[];
  object(key: string): Fields;
  list<T>(key: string, read: (item: Fields) => T): readonly T[];
  orNull<T>(key: string, read: (key: string) => T): T | null;
}

function fieldsOf(value: unknown, path: string): Fields {
  if (!isObject(value)) throw new TypeError(`${path} is not an object`);
  const text = (key: string): string => textOf(value[key], `${path}.${key}`);
  const number = (key: string): number => numberOf(value[key], `${path}.${key}`);
  const items = (key: string): readonly unknown[] => {
    const found = value[key];
    if (!Array.isArray(found)) throw new TypeError(`${path}.${key} is not an array`);
    if (found.length > maxItems) throw new TypeError(`${path}.${key} has more than ${maxItems} entries`);
    return found as readonly unknown[];
  };
  return {
    has: (key) => Object.hasOwn(value, key),
    text,
    number,
    positive: (key) => {
      const found = number(key);
      if (found <= 0) throw new TypeError(`${path}.${key} is not more than 0`);
      return found;
    },
    flag: (key) => {
      const found = value[key];
      if (typeof found !== 'boolean') throw new TypeError(`${path}.${key} is not true or false`);
      return found;
    },
    oneOf: (key, words) => wordOf(text(key), words, `${path}.${key}`),
    texts: (key) => items(key).map((item) => textOf(item, `${path}.${key}`)),
    numbers: (key) => items(key).map((item) => numberOf(item, `${path}.${key}`)),
    object: (key) => fieldsOf(value[key], `${path}.${key}`),
    list: (key, read) => items(key).map((item, at) => read(fieldsOf(item, `${path}.${key}[${at}]`))),
    orNull: (key, read) => (value[key] === null ? null : read(key)),
  };
}

function textOf(value: unknown, path: string): string {
  if (typeof value !== 'string') throw new TypeError(`${path} is not a string`);
  return value;
}

function numberOf(value: unknown, path: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new TypeError(`${path} is not a number`);
  return value;
}

function wordOf<const Word extends string>(text: string, words: readonly Word[], path: string): Word {
  const found = words.find((word) => word === text);
  if (found === undefined) throw new TypeError(`${path} is none of ${words.join(', ')}`);
  return found;
}
