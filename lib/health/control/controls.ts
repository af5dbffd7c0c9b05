import { randomBytes } from 'node:crypto';
import { epochMs } from '../../clock/time.js';
import { InvalidOptionError, isInvalidOptionError } from '../../errors/invalid-option-error.js';
import type { Control, ControlAct } from '../../vocabulary/control.js';
import type { RegistryPhase } from '../../vocabulary/phase.js';
import type { StateDocument } from '../state-document.js';
import { openStateStore } from '../state-store.js';
import { ownActor } from './control-actor.js';
import { effectOf, effectsOf, type ControlEffect, type ControlQuery } from './control-effect.js';
import { maxControls, parseControlState, type ControlState, type DeclaredControl } from './control-entry.js';
import { createExpiryTimer } from './control-expiry.js';
import { parseControlCall } from './control-options.js';
import { desertedBy, nameDeserted, refuseUnknownPlace, type ControlledSet } from './control-places.js';
import type { ControlHandle, OperatorControl } from './operator-control.js';
import {
  changeOf,
  changesBetween,
  controlOf,
  declare,
  isOver,
  newestFirst,
  withoutOver,
  type ControlChange,
  type PlacedControl,
} from './placed-control.js';
import { controlsDocument, openControlMemory, type StoredControls } from './stored-controls.js';

/** What a control file says. */
export interface DeclaredFile {
  readonly path: string;
  readonly controls: readonly DeclaredControl[];
  /** Milliseconds since the epoch; since when its entries hold that do not say so. */
  readonly modifiedAtMs: number;
}

export interface Controls extends OperatorControl {
  /** What is said about one registry. */
  effectOn(query: ControlQuery & { readonly registry: string }): ControlEffect;
  /** What is said about the registries of one plan: never bans all of them, unless that was forced. */
  effectsOn(registries: readonly string[], query: ControlQuery): ReadonlyMap<string, ControlEffect>;
  /** What a circuit counts as, whatever it is; null: what it is. */
  heldAs(registry: string, phase: RegistryPhase): 'open' | 'closed' | null;
  /** Replaces all that the control file said before. An entry about what is not here is told, and not used. */
  takeFile(file: DeclaredFile): void;
  /** The control file cannot be used; what it said before stays in force. */
  refuseFile(message: string): void;
  /** Looks for what other processes said, and this one before it was restarted. Cheap when nothing has. Never rejects. */
  load(): Promise<void>;
  /** Resolves when everything said is on disk, or could not be written. */
  flush(): Promise<void>;
  /** Ends the timers, and tells nobody any more. */
  close(): void;
}

export interface ControlsOptions {
  readonly replicaSets: readonly ControlledSet[];
  /** Where calls are kept (`controlsDocument`); default: in memory. */
  readonly document?: StateDocument<StoredControls>;
  /** Heard after the change. */
  readonly onChanged: (change: ControlChange) => void;
}

export function createControls({ replicaSets: sets, document, onChanged }: ControlsOptions): Controls {
  const memory = openControlMemory(document ?? openStateStore(null).document(controlsDocument));
  let calls: StoredControls = new Map();
  let file: ReadonlyMap<string, PlacedControl> = new Map();
  let ranked: readonly Control[] = [];
  let singles = 0;
  let fileProblems = '';
  let isClosed = false;
  const expiry = createExpiryTimer(endOver);

  /** Makes what changed hold, then tells it. */
  function settle(changes: readonly ControlChange[]): void {
    const placed = [...calls.values(), ...file.values()].toSorted(newestFirst);
    // It is handed out by `list()`.
    ranked = Object.freeze(placed.map(({ control }) => control));
    const endsMs = ranked.flatMap(({ untilMs }) => untilMs ?? []);
    expiry.set(isClosed || endsMs.length === 0 ? null : Math.min(...endsMs));
    for (const change of changes) tell(change);
  }

  function tell(change: ControlChange): void {
    if (!isClosed) onChanged(change);
  }

  /** Ends what has ended by itself. */
  function endOver(): void {
    const nowMs = epochMs();
    const over = ranked.filter((control) => isOver(control, nowMs));
    if (over.length === 0) return;
    // Otherwise a clock that is set back would bring it back from the disk.
    for (const [id, { control }] of calls) if (isOver(control, nowMs)) memory.remove(id);
    calls = withoutOver(calls, nowMs);
    file = withoutOver(file, nowMs);
    settle(over.map((control) => changeOf('expired', control)));
  }

  /** What is in force now, the newest first: a timer may be late. */
  function inForce(): readonly Control[] {
    const nowMs = epochMs();
    return ranked.some((control) => isOver(control, nowMs))
      ? ranked.filter((control) => !isOver(control, nowMs))
      : ranked;
  }

  function begin(act: ControlAct, prefix: string, options: unknown): ControlHandle {
    const wanted = parseControlCall(act, prefix, options);
    refuseUnknownPlace(wanted, sets, (key) => (key === 'registry' ? 'prefix' : 'scope.replicaSet'));
    endOver();
    if (calls.size >= maxControls) {
      throw new InvalidOptionError('prefix', `cannot have another act: ${maxControls} are in force; release some`);
    }
    const id = `${act}-${randomBytes(4).toString('hex')}`;
    const control = controlOf(wanted, { id, actor: ownActor(), sinceMs: epochMs(), origin: 'call' });
    refuseDesertion(control, [control, ...ranked], 'force');
    singles += 1;
    const stored = { control, group: 'single', order: singles } as const;
    calls = new Map([...calls, [id, stored]]);
    memory.set(stored);
    settle([changeOf('set', control)]);
    return { id, release: () => release(id) };
  }

  function refuseDesertion(ban: Control, all: readonly Control[], path: string): void {
    const deserted = desertedBy(ban, all, sets);
    if (deserted === null) return;
    throw new InvalidOptionError(
      path,
      `must be true to ban ${ban.registry}: nobody else would be left for ${nameDeserted(deserted)}`,
    );
  }

  function release(id: string): boolean {
    endOver();
    const stored = calls.get(id);
    if (stored === undefined) return false;
    calls = new Map([...calls].filter(([other]) => other !== id));
    memory.remove(id);
    settle([changeOf('released', stored.control)]);
    return true;
  }

  function apply(state: ControlState): void {
    const declared = parseControlState(state);
    for (const [index, wanted] of declared.entries()) refuseUnknownPlace(wanted, sets, pathIn(index));
    endOver();
    const applied = declare(declared, calls, { actor: ownActor(), sinceMs: epochMs(), origin: 'call' });
    const left = new Map([...calls].filter(([id, { group }]) => group === 'single' && !applied.has(id)));
    const all = [...left.values(), ...applied.values(), ...file.values()].map(({ control }) => control);
    for (const [index, { id }] of declared.entries()) {
      const ban = applied.get(id)?.control;
      if (ban !== undefined) refuseDesertion(ban, all, `controls[${index}].force`);
    }
    const stored = [...applied.values()].map(({ control, order }) => ({ control, group: 'applied', order }) as const);
    memory.replaceApplied(stored);
    replaceCalls(new Map([...left, ...stored.map((each) => [each.control.id, each] as const)]));
  }

  function replaceCalls(next: StoredControls): void {
    const changes = changesBetween(calls, next);
    calls = next;
    settle(changes);
  }

  function takeFile({ path, controls, modifiedAtMs }: DeclaredFile): void {
    const problems: string[] = [];
    const usable = controls.filter((wanted, index) => {
      try {
        refuseUnknownPlace(wanted, sets, pathIn(index));
        return true;
      } catch (error) {
        if (!isInvalidOptionError(error)) throw error;
        problems.push(`${path} is used without an entry that means nothing here: ${error.message}`);
        return false;
      }
    });
    endOver();
    const next = declare(usable, file, { actor: path, sinceMs: modifiedAtMs, origin: 'file' });
    const changes = changesBetween(file, next);
    file = next;
    const all = [...calls.values(), ...next.values()].map(({ control }) => control);
    settle(changes.map((change) => withWarning(change, all)));
    const told = fileProblems;
    fileProblems = problems.join('\n');
    if (fileProblems !== told) for (const problem of problems) refuseFile(problem);
  }

  /** Who declares cannot be refused a ban, but told what becomes of it. */
  function withWarning(change: ControlChange, all: readonly Control[]): ControlChange {
    const { change: what, control, message } = change;
    const deserted = what === 'set' && control !== null ? desertedBy(control, all, sets) : null;
    return deserted === null
      ? change
      : { ...change, message: `${message}; without "force" somebody is still asked for ${nameDeserted(deserted)}` };
  }

  function refuseFile(message: string): void {
    tell({ change: 'refused', control: null, message });
  }

  return {
    prefer: (prefix, options) => begin('prefer', prefix, options),
    ban: (prefix, options) => begin('ban', prefix, options),
    hold: (prefix, options) => begin('hold', prefix, options),
    list: inForce,
    release,
    apply,
    effectOn: ({ registry, ...query }) => effectOf(inForce(), registry, query),
    effectsOn: (registries, query) => effectsOf(inForce(), registries, query),
    heldAs: (registry, phase) => effectOf(inForce(), registry, { replicaSet: null, operationKind: null, phase }).held,
    takeFile,
    refuseFile,
    load: () =>
      memory.load((kept) => {
        endOver();
        const nowMs = epochMs();
        replaceCalls(new Map([...withoutOver(kept, nowMs)].filter(([, { control }]) => isHere(control, sets))));
      }),
    flush: () => memory.flush(),
    close: () => {
      isClosed = true;
      expiry.set(null);
    },
  };
}

function pathIn(index: number): (key: 'registry' | 'replicaSet') => string {
  return (key) => `controls[${index}].${key === 'registry' ? 'registry' : 'scope.replicaSet'}`;
}

/** Whether an act that another puller may have said concerns anything here. */
function isHere({ registry, scope }: Control, sets: readonly ControlledSet[]): boolean {
  return sets.some(({ name, registries }) => (scope.replicaSet ?? name) === name && registries.includes(registry));
}
