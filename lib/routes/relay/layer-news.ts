import type { EngineProgress } from '../../engine/docker/engine-progress.js';
import type { ImageTree } from '../../failover/manifest/image-tree.js';
import { digestHex } from '../../image/digest.js';
import { createBoundedMap } from '../../policy/bounded-map.js';
import type { Digest } from '../../vocabulary/digest.js';

/**
 * What a line says about bytes that are still to come.
 *
 * - `arriving`: something about them changed
 * - `local`: something changed, but only on the engine's own disk
 * - `nothing`: it repeats what was said, or only says that time passes
 */
export type NewsOf = 'arriving' | 'local' | 'nothing';

/** What a daemon has said so far about the layers of one image. */
export interface LayerNews {
  saw(line: EngineProgress): NewsOf;
  /** Layers that it has said it lacks and that were not delivered; `delivered` are those it was given. */
  pending(delivered: ReadonlySet<Digest>): readonly Digest[];
  /** Whether the last it said about a layer is that it has it; it has the config when it speaks of layers. */
  isHere(digest: Digest): boolean;
  /** Whether it has spoken of any layer. */
  readonly hasBegun: boolean;
  /** Whether nothing is to come any more: every layer was spoken of and is there, or it has gone on to what comes after. */
  isOver(delivered: ReadonlySet<Digest>): boolean;
  /** Whether one of its missing layers waits for a free download slot. */
  isQueued(delivered: ReadonlySet<Digest>): boolean;
}

/** The layer is with the engine. */
const here: ReadonlySet<string> = new Set([
  'Already exists',
  'Verifying Checksum',
  'Download complete',
  'Extracting',
  'Pull complete',
]);

/** Said when all layers are there; the first four by Podman. */
const afterLayers = /^(?:Copying config|Writing manifest|Storing signatures|Loaded image|Digest: |Status: )/;

/** Counts down to a request that may come or not: no byte has arrived. */
const countdown = /^Retrying in /;

const shortHexLength = 12;

/** Of so many a daemon's last words are kept: far more than an image has layers, and its lines may name anything. */
const maxSubjects = 1_000;

/** Listens to what a daemon says while it pulls `tree`. */
export function createLayerNews(tree: ImageTree): LayerNews {
  const layers = new Map(tree.layers.map(({ digest }) => [shortId(digest), digest]));
  const last = createBoundedMap<string, string>(maxSubjects);
  const status = new Map<Digest, string>();
  let isAfterLayers = tree.layers.length === 0;

  const hasBegun = (): boolean => isAfterLayers || status.size > 0;
  const isHere = (digest: Digest): boolean =>
    digest === tree.config.digest ? hasBegun() : here.has(status.get(digest) ?? '');
  const lacks = (digest: Digest, delivered: ReadonlySet<Digest>): boolean => {
    const said = status.get(digest);
    return said !== undefined && !here.has(said) && !delivered.has(digest);
  };

  return {
    saw: (line) => {
      const about = line.id ?? '';
      const said = `${line.status} ${line.unit === 'seconds' ? '' : (line.current ?? '')}`;
      if (afterLayers.test(line.status)) isAfterLayers = true;
      const digest = layers.get(about);
      if (digest !== undefined) status.set(digest, line.status);
      if (last.get(about) === said) return 'nothing';
      last.set(about, said);
      if (countdown.test(line.status)) return 'nothing';
      return here.has(line.status) || afterLayers.test(line.status) ? 'local' : 'arriving';
    },
    pending: (delivered) => [...layers.values()].filter((digest) => lacks(digest, delivered)),
    isHere,
    get hasBegun() {
      return hasBegun();
    },
    isOver: (delivered) =>
      isAfterLayers || [...layers.values()].every((digest) => delivered.has(digest) || isHere(digest)),
    isQueued: (delivered) =>
      [...layers.values()].some((digest) => status.get(digest) === 'Waiting' && lacks(digest, delivered)),
  };
}

/** As engines name a layer. */
function shortId(digest: Digest): string {
  return digestHex(digest).slice(0, shortHexLength);
}
