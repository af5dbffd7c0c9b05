import { epochMs, monotonicMs } from '../../clock/time.js';
import { createBoundedMap } from '../../policy/bounded-map.js';
import { parseDigest } from '../../image/digest.js';
import type { Digest } from '../../vocabulary/digest.js';
import type { RegistryPhase } from '../../vocabulary/phase.js';
import { backgroundSave } from '../background-save.js';
import type { StateDocument } from '../state-document.js';
import {
  layerKey,
  manifestKey,
  maxLayers,
  maxManifests,
  mergeTargets,
  probeBytes,
  type KeptTargets,
  type LayerTarget,
  type ManifestTarget,
  type RegistryTargets,
} from './probe-targets-document.js';

/** What a registry served: a manifest by tag or digest, or a blob with its size. */
export interface ServedObject {
  readonly repository: string;
  readonly object: string;
  /** Bytes of the blob; without it a blob is not noted. */
  readonly size?: number;
}

/** Where a registry failed while it served a blob. */
export interface FailedLayer {
  readonly repository: string;
  readonly digest: Digest;
  readonly size: number;
  readonly offset: number;
}

/** What each registry can be asked for to see whether it is well: real objects that it has served before. */
export interface ProbeTargets {
  /** Cheap: may be called for every object of every pull. */
  served(registry: string, phase: RegistryPhase, what: ServedObject): void;
  failedAt(registry: string, layer: FailedLayer): void;
  /** The best first. */
  layersOf(registry: string): readonly LayerTarget[];
  manifestsOf(registry: string): readonly ManifestTarget[];
  /** The registry does not have it any more, or does not give it to us. */
  forget(registry: string, phase: RegistryPhase, target: LayerTarget | ManifestTarget): void;
  /** Hears that a registry which could not be asked for anything can be; returns what stops it. */
  onFound(listener: () => void): () => void;
  /** Takes over what was kept by processes before. Never rejects. */
  load(): Promise<void>;
  /** Resolves when what is known is kept, or could not be. Never rejects. */
  flush(): Promise<void>;
}

/** Their names may come from tenants; as many as there are circuits for. */
const maxRegistries = 1_000;

/** With a list that is full, no other object is noted for so long: which ones they are does not matter. */
const refreshMs = 600_000;

/** What pulls are going well with is written this often at most: it is of use after a restart, and a little old then. */
const saveEveryMs = 60_000;

/** While the disk fails. One that comes back from it is asked for once, and forgotten again. */
const maxForgotten = 1_000;

const nothing: RegistryTargets = { layers: [], manifests: [] };

/** @param document where targets outlive this process; default: nowhere */
export function createProbeTargets(document?: StateDocument<KeptTargets>): ProbeTargets {
  const targets = createBoundedMap<string, RegistryTargets>(maxRegistries);
  const listeners = new Set<() => void>();
  /** The names of registries by themselves: a bounded map does not tell its keys. */
  let unsaved = new Set<string>();
  /** What must not come back from the disk, by the key of what was forgotten. */
  let forgotten = new Set<string>();
  let savedAtMs = -Infinity;

  function of(registry: string): RegistryTargets {
    return targets.get(registry) ?? nothing;
  }

  function add(registry: string, added: Partial<RegistryTargets>, isUrgent: boolean): void {
    const known = of(registry);
    const merged = mergeTargets(known, { ...nothing, ...added });
    targets.set(registry, merged);
    const isFirst =
      (known.layers.length === 0 && merged.layers.length > 0) ||
      (known.manifests.length === 0 && merged.manifests.length > 0);
    changed(registry, isUrgent || isFirst);
    if (isFirst) for (const listener of [...listeners]) listener();
  }

  function changed(registry: string, isUrgent: boolean): void {
    if (document === undefined) return;
    unsaved.add(registry);
    if (isUrgent || monotonicMs() - savedAtMs >= saveEveryMs) void save();
  }

  const save = backgroundSave(
    () => unsaved.size > 0,
    async () => {
      const batch = unsaved;
      unsaved = new Set();
      const gone = forgotten;
      forgotten = new Set();
      savedAtMs = monotonicMs();
      const kept = (await document?.update((before) => mergeInto(before, batch, gone))) ?? null;
      if (kept !== null) return true;
      unsaved = new Set([...batch, ...unsaved]);
      forgotten = new Set([...gone, ...forgotten].slice(-maxForgotten));
      return false;
    },
  );

  function mergeInto(before: KeptTargets, registries: ReadonlySet<string>, gone: ReadonlySet<string>): KeptTargets {
    const merged = new Map(before);
    for (const registry of registries) {
      const kept = merged.get(registry) ?? nothing;
      // Last, as the one used last: where there are too many, the others go.
      merged.delete(registry);
      merged.set(registry, mergeTargets(without(registry, kept, gone), of(registry)));
    }
    return new Map([...merged].slice(-maxRegistries));
  }

  return {
    served: (registry, phase, { repository, object, size }) => {
      const atMs = epochMs();
      const { layers, manifests } = of(registry);
      if (phase === 'metadata') {
        if (isKnownWell(manifests, maxManifests, atMs)) return;
        add(registry, { manifests: [{ repository, reference: object, atMs }] }, false);
        return;
      }
      const digest = parseDigest(object);
      if (digest === null || size === undefined || size === 0) return;
      const asGood = size < probeBytes ? layers : layers.filter((layer) => layer.size >= probeBytes);
      if (isKnownWell(asGood, maxLayers - 1, atMs)) return;
      add(registry, { layers: [{ repository, digest, size, offset: null, atMs }] }, false);
    },
    failedAt: (registry, { repository, digest, size, offset }) => {
      if (size === 0) return;
      const [worst] = of(registry).layers;
      // All the pulls of an outage fail alike, and each would be written.
      if (worst?.digest === digest && worst.offset === offset && worst.repository === repository) return;
      add(registry, { layers: [{ repository, digest, size, offset, atMs: epochMs() }] }, true);
    },
    layersOf: (registry) => of(registry).layers,
    manifestsOf: (registry) => of(registry).manifests,
    forget: (registry, phase, target) => {
      const key = `${registry} ${phase} ${keyOf(target)}`;
      targets.set(registry, without(registry, of(registry), new Set([key])));
      if (document !== undefined) forgotten = new Set([...forgotten, key].slice(-maxForgotten));
      changed(registry, false);
    },
    onFound: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    load: async () => {
      if (document === undefined) return;
      const kept = await document.read();
      for (const [registry, found] of kept) {
        targets.set(registry, mergeTargets(without(registry, found, forgotten), of(registry)));
      }
      if (kept.size > 0) for (const listener of [...listeners]) listener();
    },
    flush: async () => {
      await save();
      await save();
    },
  };
}

/** Whether enough objects are noted, and not long ago. */
function isKnownWell(known: readonly { readonly atMs: number }[], enough: number, nowMs: number): boolean {
  return known.length >= enough && known.some(({ atMs }) => nowMs - atMs < refreshMs);
}

function without(registry: string, known: RegistryTargets, gone: ReadonlySet<string>): RegistryTargets {
  if (gone.size === 0) return known;
  return {
    layers: known.layers.filter((layer) => !gone.has(`${registry} layers ${layerKey(layer)}`)),
    manifests: known.manifests.filter((manifest) => !gone.has(`${registry} metadata ${manifestKey(manifest)}`)),
  };
}

function keyOf(target: LayerTarget | ManifestTarget): string {
  return 'digest' in target ? layerKey(target) : manifestKey(target);
}
