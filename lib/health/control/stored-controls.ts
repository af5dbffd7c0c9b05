import { epochMs } from '../../clock/time.js';
import { isObject } from '../../image/json-object.js';
import type { Control } from '../../vocabulary/control.js';
import { backgroundSave } from '../background-save.js';
import type { DocumentKind, StateDocument } from '../state-document.js';
import { maxControls, parseControlEntry } from './control-entry.js';
import { isOver, type PlacedControl } from './placed-control.js';

/** An act that was said by a call, as it is kept. */
export interface StoredControl extends PlacedControl {
  /** A call of its own, or an entry of a declared state. */
  readonly group: 'single' | 'applied';
}

/** By id. */
export type StoredControls = ReadonlyMap<string, StoredControl>;

/** What calls said, as processes that share `stateDir` keep it together. */
export const controlsDocument: DocumentKind<StoredControls> = {
  name: 'controls',
  empty: new Map(),
  format: (controls) => ({
    version: 1,
    controls: [...controls.values()].map(({ control, group, order }) => ({ ...control, group, order })),
  }),
  parse: (value) => {
    if (!isObject(value) || value['version'] !== 1 || !Array.isArray(value['controls'])) {
      throw new TypeError('it is not version 1 of the controls');
    }
    return new Map(value['controls'].slice(0, maxControls * 2).map(parseStored));
  },
};

function parseStored(value: unknown): readonly [string, StoredControl] {
  if (!isObject(value)) throw new TypeError('an entry is no object');
  const { group, order, ...entry } = value;
  const { id, actor, sinceMs, ...rest } = parseControlEntry(entry, 'entry');
  if ((group !== 'single' && group !== 'applied') || typeof order !== 'number') {
    throw new TypeError('an entry lacks its group or order');
  }
  if (id === null || actor === null || sinceMs === null)
    throw new TypeError('an entry lacks its id, actor or beginning');
  // Written under a clock that was ahead: it must not come before all that is said until then.
  const control: Control = { ...rest, id, actor, sinceMs: Math.min(sinceMs, epochMs()), origin: 'call' };
  return [id, { control, group, order }];
}

/** What the disk does not have yet. */
interface Unsaved {
  /** Null: what is kept under this id ends. */
  readonly changes: ReadonlyMap<string, StoredControl | null>;
  /** Which call replaced everything that was declared before; null: none did. */
  readonly replacement: number | null;
}

const nothingUnsaved: Unsaved = { changes: new Map(), replacement: null };

/** Calls, kept over a restart and told to the processes that share the document. The disk follows in the background. */
export interface ControlMemory {
  set(stored: StoredControl): void;
  remove(id: string): void;
  /** Everything that was declared before ends, and this takes its place. */
  replaceApplied(stored: readonly StoredControl[]): void;
  /**
   * Hands over what is kept, this process's own latest words included, before anybody can say more. Not when that is
   * what was handed over last, and not when nothing is kept: what was lost on the disk stays in force. Never rejects.
   */
  load(adopt: (kept: StoredControls) => void): Promise<void>;
  /** Resolves when everything is on disk, or could not be written. */
  flush(): Promise<void>;
}

export function openControlMemory(document: StateDocument<StoredControls>): ControlMemory {
  let unsaved: Unsaved = nothingUnsaved;
  let replacements = 0;
  /** Grows with every word and with every save: what was read meanwhile may be neither the old nor the new. */
  let turns = 0;
  let adopted: { readonly kept: StoredControls; readonly turn: number } | null = null;

  function say(next: Unsaved): void {
    unsaved = next;
    turns += 1;
    void save();
  }

  const save = backgroundSave(
    () => unsaved.changes.size > 0 || unsaved.replacement !== null,
    async () => {
      const batch = unsaved;
      if ((await document.update((kept) => merge(kept, batch))) === null) return false;
      unsaved = without(unsaved, batch);
      turns += 1;
      return true;
    },
  );

  return {
    set: (stored) => say({ ...unsaved, changes: new Map([...unsaved.changes, [stored.control.id, stored]]) }),
    remove: (id) => say({ ...unsaved, changes: new Map([...unsaved.changes, [id, null]]) }),
    replaceApplied: (stored) => {
      replacements += 1;
      const singles = [...unsaved.changes].filter(([, change]) => change?.group !== 'applied');
      const added = stored.map((each) => [each.control.id, each] as const);
      say({ changes: new Map([...singles, ...added]), replacement: replacements });
    },
    load: async (adopt) => {
      let before;
      let kept;
      do {
        before = turns;
        kept = await document.read();
      } while (before !== turns);
      if (kept === controlsDocument.empty || (adopted?.kept === kept && adopted.turn === turns)) return;
      adopted = { kept, turn: turns };
      adopt(merge(kept, unsaved));
    },
    flush: save,
  };
}

function merge(kept: StoredControls, { changes, replacement }: Unsaved): StoredControls {
  const nowMs = epochMs();
  const merged = new Map(
    [...kept].filter(
      ([, { control, group }]) => !isOver(control, nowMs) && !(replacement !== null && group === 'applied'),
    ),
  );
  for (const [id, change] of changes) {
    if (change === null) merged.delete(id);
    else merged.set(id, change);
  }
  return merged;
}

/** What is left when a batch is on disk. */
function without(unsaved: Unsaved, batch: Unsaved): Unsaved {
  const changes = new Map([...unsaved.changes].filter(([id, change]) => batch.changes.get(id) !== change));
  const replacement = unsaved.replacement === batch.replacement ? null : unsaved.replacement;
  return changes.size === 0 && replacement === null ? nothingUnsaved : { changes, replacement };
}
