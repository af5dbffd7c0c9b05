import type { EngineProgress } from '../../engine/docker/progress-stream.js';

/**
 * Where one layer is in a pull that an engine does by itself.
 *
 * - `waiting`: for one of the engine's download slots
 * - `retrying`: the engine will ask once more, in its own time
 */
export type LayerState = 'announced' | 'waiting' | 'retrying' | 'downloading' | 'downloaded' | 'extracting' | 'done';

/** What an engine has said of one layer. */
export interface DirectLayer {
  readonly state: LayerState;
  /** Bytes, as in the last line that had them. */
  readonly current: number;
  readonly total: number | null;
  /** Bytes by which the last line that had some went on. */
  readonly lastStep: number;
  /** Bytes of it came in this pull. */
  readonly isTouched: boolean;
  /** The engine did not have it before. */
  readonly isFetched: boolean;
  /** How far it is unpacked, in bytes. */
  readonly extracted: number;
}

/** What one line has changed. */
export interface NotedLayer {
  readonly layer: DirectLayer;
  /** Bytes that it tells of for the first time. */
  readonly bytes: number;
  readonly hasMoved: boolean;
}

const unknownLayer: DirectLayer = {
  state: 'announced',
  current: 0,
  total: null,
  lastStep: 0,
  isTouched: false,
  isFetched: true,
  extracted: 0,
};

/** Reads one line about a layer; null when it is not about one. */
export function noteLayerLine(known: DirectLayer | null, line: EngineProgress): NotedLayer | null {
  const said = stateOf(line.status);
  if (said === null) return null;
  const before = known ?? unknownLayer;
  const { current, total, bytes } = arrived(before, said, line);
  const state = nextState(before.state, said, total !== null && current >= total);
  const extracted = said === 'extracting' && line.unit === 'bytes' ? (line.current ?? 0) : before.extracted;
  const layer = {
    state,
    current,
    total,
    lastStep: bytes > 0 ? bytes : before.lastStep,
    isTouched: before.isTouched || bytes > 0,
    isFetched: before.isFetched && line.status !== 'Already exists',
    extracted,
  };
  const isWaiting = state === 'waiting' || state === 'retrying';
  const hasChanged = (state !== before.state && !isWaiting) || extracted !== before.extracted;
  return { layer, bytes, hasMoved: known === null || bytes > 0 || hasChanged };
}

/** Whether the registry has nothing more to give of it. */
export function isDownloaded(state: LayerState): boolean {
  return state === 'downloaded' || state === 'extracting' || state === 'done';
}

function arrived(
  before: DirectLayer,
  said: LayerState,
  line: EngineProgress,
): Pick<DirectLayer, 'current' | 'total'> & { readonly bytes: number } {
  const { current, total } = before;
  if (said === 'downloaded') {
    // The last bytes have no line of their own; where no byte had one, their number is not known.
    const left = before.isTouched && total !== null ? Math.max(0, total - current) : 0;
    return { current: current + left, total, bytes: left };
  }
  if (said !== 'downloading' || line.current === null || line.unit !== 'bytes') return { current, total, bytes: 0 };
  // Docker's classic store begins to count anew when it asks for the rest of a layer once more.
  const bytes = line.current >= current ? line.current - current : line.current;
  return { current: line.current, total: line.total ?? total, bytes };
}

function nextState(before: LayerState, said: LayerState, isWhole: boolean): LayerState {
  switch (said) {
    case 'announced':
      // A layer that an image has twice is announced twice.
      return before;
    case 'downloading':
      if (isDownloaded(before)) return before;
      return isWhole ? 'downloaded' : 'downloading';
    case 'downloaded':
      return isDownloaded(before) ? before : 'downloaded';
    case 'waiting':
    case 'retrying':
    case 'extracting':
    case 'done':
      return said;
  }
}

const states: ReadonlyMap<string, LayerState> = new Map([
  ['Pulling fs layer', 'announced'],
  ['Copying blob', 'announced'],
  ['Waiting', 'waiting'],
  ['Downloading', 'downloading'],
  ['Verifying Checksum', 'downloaded'],
  ['Download complete', 'downloaded'],
  ['Extracting', 'extracting'],
  ['Already exists', 'done'],
  ['Pull complete', 'done'],
]);

function stateOf(status: string): LayerState | null {
  return states.get(status) ?? (status.startsWith('Retrying in ') ? 'retrying' : null);
}
