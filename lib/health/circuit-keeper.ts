import { backgroundSave } from './background-save.js';
import {
  circuitKey,
  mergeCircuits,
  type CircuitsState,
  type KeptBounds,
  type KeptCircuit,
} from './circuits-document.js';
import type { StateDocument } from './state-document.js';

/** Brings changes of circuits to whoever shares the state, and theirs here. */
export interface CircuitKeeper {
  /** Is written in the background. Never rejects. */
  keep(circuit: KeptCircuit): void;
  /** Looks whether others have changed anything; cheap where they have not. Never rejects. */
  load(): Promise<void>;
  /** Resolves when all that was given is kept, or could not be. */
  flush(): Promise<void>;
}

/** @param onFound is told what is kept whenever it is not what it was told last */
export function createCircuitKeeper(
  document: StateDocument<CircuitsState>,
  bounds: KeptBounds,
  onFound: (found: CircuitsState) => void,
): CircuitKeeper {
  /** What the disk does not have yet, or will never have while it fails. */
  let unsaved = new Map<string, KeptCircuit>();
  let found: CircuitsState | null = null;

  function look(kept: CircuitsState): void {
    if (kept === found) return;
    found = kept;
    onFound(kept);
  }

  const save = backgroundSave(
    () => unsaved.size > 0,
    async () => {
      const batch = unsaved;
      unsaved = new Map();
      const kept = await document.update((circuits) => mergeCircuits(circuits, batch.values(), bounds));
      if (kept === null) unsaved = new Map([...batch, ...unsaved]);
      else look(kept);
      return kept !== null;
    },
  );

  return {
    keep: (circuit) => {
      unsaved.set(circuitKey(circuit.registry, circuit.phase), circuit);
      void save();
    },
    load: async () => look(await document.read()),
    flush: save,
  };
}
