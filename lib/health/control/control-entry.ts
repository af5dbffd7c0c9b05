import { createHash } from 'node:crypto';
import { InvalidOptionError } from '../../errors/invalid-option-error.js';
import { openOptionBag, showValue, type OptionBag } from '../../policy/option-bag.js';
import { canonicalPrefix } from '../../registries/prefix.js';
import type { Control, ControlAct, ControlScope } from '../../vocabulary/control.js';
import { registryPhases, type RegistryPhase } from '../../vocabulary/phase.js';
import { redactText } from '../../vocabulary/redact.js';

/** One act of a state that is declared as a whole. A `Control` of `list()` is one too. */
export interface ControlEntry {
  /** Letters, digits, `.`, `_`, `:` and `-`, at most 80. Default: made from act, registry and scope, the same on every host. */
  readonly id?: string;
  readonly act: ControlAct;
  /** The registry's prefix. */
  readonly registry: string;
  /** Default: all pulls. A hold has no scope but its phase: a circuit is the same for all pulls. */
  readonly scope?: ControlScope;
  /** Default: none. */
  readonly reason?: string;
  /** Default: this process's user; in a file, the file. */
  readonly actor?: string;
  /** Milliseconds since the epoch; of two preferences the later comes first. Default: when it was first read. */
  readonly sinceMs?: number;
  /** When it ends by itself, in milliseconds since the epoch. Default null: it does not. */
  readonly untilMs?: number | null;
  /** The same, for people: ISO 8601 with its time zone, `2017-07-26T20:46:00Z`. */
  readonly until?: string;
  /** Default `'move'`. */
  readonly inFlight?: 'move' | 'finish';
  /** What a held circuit counts as; of a hold only, and required there. */
  readonly as?: 'open' | 'closed' | null;
  /** Whether the last candidate may be banned; of a ban only. Default false. */
  readonly force?: boolean;
  /** Means nothing here. */
  readonly origin?: 'call' | 'file';
}

/** What is to be in force, as a whole: whatever was declared before and is not in it ends. */
export interface ControlState {
  /** Of the format; a file must say it. */
  readonly version?: 1;
  /** At most 1,000. Of entries without `sinceMs`, an earlier one comes before a later one. */
  readonly controls: readonly ControlEntry[];
}

/** An act as it was asked for, checked; null where nothing was said. */
export interface WantedControl extends Pick<
  Control,
  'act' | 'registry' | 'scope' | 'reason' | 'inFlight' | 'as' | 'force'
> {
  readonly id: string | null;
  readonly actor: string | null;
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
}

/** An act of a declared state. */
export interface DeclaredControl extends WantedControl {
  readonly id: string;
}

/** A fleet's switches of its worst day; a longer list is a program that went wrong. */
export const maxControls = 1_000;

/** The last moment that a `Date` can show. */
export const maxDateMs = 8.64e15;

/** A word that a host or an operator chose: kinds, names of sets and of people. */
const maxWordLength = 200;

const idPattern = /^[\w.:-]{1,80}$/;

/** A date alone, or one without its zone, would mean another moment on another host. */
const isoPattern = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})$/;

const stateKeys = ['version', 'controls'] as const;

const entryKeys = [
  'id',
  'act',
  'registry',
  'scope',
  'reason',
  'actor',
  'sinceMs',
  'untilMs',
  'until',
  'inFlight',
  'as',
  'force',
  'origin',
] as const satisfies readonly (keyof ControlEntry)[];

/** Reads a declared state. @throws InvalidOptionError naming the entry, the key and the value */
export function parseControlState(value: unknown): readonly DeclaredControl[] {
  const bag = openOptionBag('', value ?? null, stateKeys);
  const version = bag.raw('version');
  if (version !== undefined && version !== 1) {
    throw new InvalidOptionError(
      'version',
      `must be 1, the only version there is, got ${showValue(version, 'version')}`,
    );
  }
  const controls = bag.raw('controls');
  if (!Array.isArray(controls)) {
    throw new InvalidOptionError('controls', `must be an array, got ${showValue(controls, 'controls')}`);
  }
  if (controls.length > maxControls) {
    throw new InvalidOptionError('controls', `must be at most ${maxControls} entries, got ${controls.length}`);
  }
  const places = new Map<string, number>();
  return controls.map((entry: unknown, index) => {
    const path = `controls[${index}]`;
    const wanted = parseControlEntry(entry, path);
    const id = wanted.id ?? idOf(wanted);
    const earlier = places.get(id);
    if (earlier !== undefined) {
      const same = wanted.id === null ? 'has the act, registry and scope' : `has the id '${id}'`;
      throw new InvalidOptionError(path, `${same} of controls[${earlier}]: one of them can hold`);
    }
    places.set(id, index);
    return { ...wanted, id };
  });
}

/** The same for the same act on every host, and however often it is declared. */
export function idOf({ act, registry, scope }: Pick<Control, 'act' | 'registry' | 'scope'>): string {
  const { operationKind = null, replicaSet = null, phase = null } = scope;
  const text = JSON.stringify([act, registry, operationKind, replicaSet, phase]);
  return `${act}-${createHash('sha256').update(text).digest('hex').slice(0, 12)}`;
}

/** Reads one act, found at `path`. @throws InvalidOptionError */
export function parseControlEntry(value: unknown, path: string): WantedControl {
  const bag = openOptionBag(path, value ?? null, entryKeys);
  const act = bag.oneOf('act', ['prefer', 'ban', 'hold']);
  if (act === undefined) throw new InvalidOptionError(bag.pathOf('act'), "is missing: 'prefer', 'ban' or 'hold'");
  const force = bag.boolean('force') ?? false;
  if (force && act !== 'ban') throw new InvalidOptionError(bag.pathOf('force'), `is of a ban, not of a ${act}`);
  bag.oneOf('origin', ['call', 'file']);
  return {
    id: readId(bag),
    act,
    registry: readPrefix(bag.raw('registry'), bag.pathOf('registry')),
    scope: readScope(bag.bag('scope', scopeKeys), act, null),
    reason: readReason(bag),
    actor: readActor(bag),
    sinceMs: bag.integer('sinceMs', { min: 0, max: maxDateMs }) ?? null,
    untilMs: readUntil(bag),
    inFlight: bag.oneOf('inFlight', ['move', 'finish']) ?? 'move',
    as: readAs(bag, act),
    force,
  };
}

/** Reads a registry's prefix in its one spelling. @throws InvalidOptionError */
export function readPrefix(value: unknown, path: string): string {
  if (typeof value !== 'string' || value === '') {
    throw new InvalidOptionError(path, `must be the prefix of a registry, got ${showValue(value, path)}`);
  }
  try {
    return canonicalPrefix(value).text;
  } catch (error) {
    throw new InvalidOptionError(path, `must be the prefix of a registry, got ${showValue(value, path)}`, error);
  }
}

/** The keys of a `ControlScope`. */
export const scopeKeys: readonly (keyof ControlScope)[] = ['operationKind', 'replicaSet', 'phase'];

/**
 * Reads whom an act concerns.
 *
 * @param phase what was said of the phase elsewhere; null: nothing
 * @throws InvalidOptionError
 */
export function readScope(bag: OptionBag, act: ControlAct, phase: RegistryPhase | null): ControlScope {
  const operationKind = readWord(bag, 'operationKind');
  const replicaSet = readWord(bag, 'replicaSet');
  const own = bag.oneOf('phase', registryPhases);
  for (const key of ['operationKind', 'replicaSet'] as const) {
    if (act === 'hold' && bag.has(key)) {
      throw new InvalidOptionError(
        bag.pathOf(key),
        'is of no use to a hold: a circuit is the same for all pulls; a preference or a ban can have it',
      );
    }
  }
  if (own !== undefined && phase !== null && own !== phase) {
    throw new InvalidOptionError(bag.pathOf('phase'), `contradicts phase '${phase}', got '${own}'`);
  }
  const said = own ?? phase;
  return {
    ...(operationKind === null ? {} : { operationKind }),
    ...(replicaSet === null ? {} : { replicaSet }),
    ...(said === null ? {} : { phase: said }),
  };
}

/** Empty where nothing was said. */
export function readReason(bag: OptionBag): string {
  return readText(bag, 'reason') ?? '';
}

/** Null where nothing was said. */
export function readActor(bag: OptionBag): string | null {
  const actor = readText(bag, 'actor');
  return actor === null || actor === '' ? null : actor.slice(0, maxWordLength);
}

/** What a held circuit counts as; null for what is no hold. @throws InvalidOptionError */
export function readAs(bag: OptionBag, act: ControlAct): 'open' | 'closed' | null {
  const as = bag.raw('as') === null ? null : (bag.oneOf('as', ['open', 'closed']) ?? null);
  if (act === 'hold' && as === null) throw new InvalidOptionError(bag.pathOf('as'), "is missing: 'open' or 'closed'");
  if (act !== 'hold' && as !== null) throw new InvalidOptionError(bag.pathOf('as'), `is of a hold, not of a ${act}`);
  return as;
}

function readId(bag: OptionBag): string | null {
  const id = bag.string('id') ?? null;
  if (id !== null && !idPattern.test(id)) {
    throw new InvalidOptionError(
      bag.pathOf('id'),
      `must be at most 80 letters, digits, '.', '_', ':' and '-', got ${showValue(id, bag.pathOf('id'))}`,
    );
  }
  return id;
}

function readWord(bag: OptionBag, key: string): string | null {
  const word = bag.string(key) ?? null;
  if (word !== null && word.length > maxWordLength) {
    throw new InvalidOptionError(bag.pathOf(key), `must be at most ${maxWordLength} characters, got ${word.length}`);
  }
  return word;
}

/** What people wrote: it is shown to others, and may hold what it should not. */
function readText(bag: OptionBag, key: string): string | null {
  const raw = bag.raw(key);
  if (raw === undefined) return null;
  if (typeof raw !== 'string') {
    throw new InvalidOptionError(bag.pathOf(key), `must be a string, got ${showValue(raw, bag.pathOf(key))}`);
  }
  return redactText(raw).trim();
}

function readUntil(bag: OptionBag): number | null {
  const untilMs = bag.raw('untilMs') === null ? null : (bag.integer('untilMs', { min: 0, max: maxDateMs }) ?? null);
  const until = bag.string('until');
  if (until === undefined) return untilMs;
  if (bag.has('untilMs')) throw new InvalidOptionError(bag.pathOf('until'), 'says again what untilMs says: give one');
  const atMs = isoPattern.test(until) ? Date.parse(until) : Number.NaN;
  if (Number.isNaN(atMs)) {
    throw new InvalidOptionError(
      bag.pathOf('until'),
      `must be a time with its zone, such as 2017-07-26T20:46:00Z, got ${showValue(until, bag.pathOf('until'))}`,
    );
  }
  return atMs;
}
