import type { EngineStore } from '../../engine/docker/engine-traits.js';
import type { EngineProgress } from '../../engine/docker/progress-stream.js';
import { isDownloaded, noteLayerLine, type DirectLayer } from './direct-layer.js';

/** Where a pull that an engine does by itself is. */
export type DirectPhase = 'metadata' | 'layers' | 'extract';

/**
 * What it means that an engine says nothing new.
 *
 * - `registry`: it waits for the registry
 * - `local`: only the engine itself has something to do
 * - `either`: it does not say which of the two
 * - `mute`: it says nothing of bytes at all
 */
export type SilenceMeaning = 'registry' | 'local' | 'either' | 'mute';

/** What one line has changed. */
export interface DirectStep {
  /** The pull is further in its phase than before; a line that repeats what is known is no progress. */
  readonly isProgress: boolean;
  /** Bytes that arrived from the registry since the line before. */
  readonly bytes: number;
  /** The engine has all of the layer that the line is about. */
  readonly isWhole: boolean;
}

/** The phases of one pull, told apart by what the engine says. */
export interface DirectPhases {
  readonly phase: DirectPhase;
  readonly silence: SilenceMeaning;
  /** What the engine says that it pulled; null until it does, and always on Podman. */
  readonly digest: string | null;
  /** Bytes that arrived. */
  readonly bytes: number;
  /** Layers that came from the registry, whole. */
  readonly fetched: number;
  /** Whether this layer, by its short digest, is one of them. */
  hasFetched(id: string): boolean;
  /** Layers that the engine has begun to ask for, by their short digest, and that no byte came of. */
  readonly untouched: readonly string[];
  /** Whether every layer that is missing waits for one of the engine's download slots. */
  readonly isWithoutSlot: boolean;
  note(line: EngineProgress): DirectStep;
}

/** Engines cannot run images of more than some hundred layers; what a stream names beyond it is none. */
const maxLayers = 10_000;

const noStep: DirectStep = { isProgress: false, bytes: 0, isWhole: false };

/** Follows one pull. What the words mean differs by store. */
export function followDirectPull(store: EngineStore): DirectPhases {
  const layers = new Map<string, DirectLayer>();
  /** The registry has told of the manifest. */
  let hasBegun = false;
  /** Only names are left to be given. */
  let isOver = false;
  let isMute = false;
  let digest: string | null = null;
  let bytes = 0;

  const missing = (): readonly DirectLayer[] => [...layers.values()].filter((layer) => !isDownloaded(layer.state));

  function phaseNow(): DirectPhase {
    if (isOver) return 'extract';
    if (!hasBegun) return 'metadata';
    if (missing().length > 0) return 'layers';
    switch (store) {
      case 'graph':
        // The config is fetched beside the layers without a word: once they are unpacked, it is what is waited for.
        return [...layers.values()].some(({ state }) => state !== 'done') ? 'extract' : 'layers';
      case 'containerd':
        // They are announced at once, when the config has come.
        return layers.size === 0 ? 'layers' : 'extract';
      case 'podman':
        // A layer is announced when its answer begins: another one may always be to come.
        return 'layers';
    }
  }

  function silenceNow(): SilenceMeaning {
    switch (phaseNow()) {
      case 'metadata':
        return 'registry';
      case 'extract':
        return 'local';
      case 'layers':
        if (isMute) return 'mute';
        return store !== 'podman' || missing().some(isMidway) ? 'registry' : 'either';
    }
  }

  function noteLayer(id: string, line: EngineProgress): DirectStep {
    const layer = layers.get(id);
    const noted = noteLayerLine(layer ?? null, line);
    if (noted === null || (layer === undefined && layers.size >= maxLayers)) return noStep;
    layers.set(id, noted.layer);
    hasBegun = true;
    bytes += noted.bytes;
    // Lower layers are unpacked while others still come: that says nothing of the registry.
    const isLocal = layer !== undefined && isDownloaded(layer.state);
    const isProgress = noted.hasMoved && (!isLocal || phaseNow() === 'extract');
    return { isProgress, bytes: noted.bytes, isWhole: isDownloaded(noted.layer.state) };
  }

  function note(line: EngineProgress): DirectStep {
    const before = phaseNow();
    const [, named] = /^Digest: (\S+)/.exec(line.status) ?? [];
    let step = noStep;
    if (named !== undefined || line.status.startsWith('Status: ')) {
      digest = named ?? digest;
      isOver = true;
    } else if (line.status.startsWith('Pulling from')) {
      // A containerd store has only asked whether the manifest is there. What it waits for after that is far more often
      // the config: whoever answers that question, answers the next one.
      hasBegun = true;
    } else if (line.status === 'Copying config') {
      // Podman's own endpoint: the last of all blobs.
      isOver = true;
    } else if (line.id !== null) {
      isMute ||= line.status === 'Copying blob';
      step = noteLayer(line.id, line);
    }
    return before === phaseNow() ? step : { ...step, isProgress: true };
  }

  return {
    get phase() {
      return phaseNow();
    },
    get silence() {
      return silenceNow();
    },
    get digest() {
      return digest;
    },
    get bytes() {
      return bytes;
    },
    get fetched() {
      return [...layers.values()].filter(isFetchedWhole).length;
    },
    hasFetched: (id) => {
      const layer = layers.get(id);
      return layer !== undefined && isFetchedWhole(layer);
    },
    get untouched() {
      return [...layers].flatMap(([id, { state, isTouched }]) => (state === 'announced' && !isTouched ? [id] : []));
    },
    get isWithoutSlot() {
      const left = missing();
      return left.length > 0 && left.every(({ state }) => state === 'waiting');
    },
    note,
  };
}

/** It was not there before. */
function isFetchedWhole({ state, isFetched }: DirectLayer): boolean {
  return isFetched && isDownloaded(state);
}

/**
 * Podman says nothing of the last second of a layer's bytes, and then unpacks it under the same silence: only a layer
 * with clearly more to come is waited for.
 */
function isMidway({ state, total, current, lastStep }: DirectLayer): boolean {
  return state === 'downloading' && total !== null && total - current > 2 * lastStep;
}
