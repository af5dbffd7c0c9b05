import { epochMs } from '../../clock/time.js';
import { parseDigest } from '../../image/digest.js';
import type { Digest } from '../../vocabulary/digest.js';
import { objectOf, type DocumentKind } from '../state-document.js';

/** What of a layer one probe reads: more than what lies in the buffers between a stalled storage and us. */
export const probeBytes: number = 64 * 1024;

/** A layer that a registry has served, or began to serve. */
export interface LayerTarget {
  readonly repository: string;
  readonly digest: Digest;
  readonly size: number;
  /** Where the registry failed last while it served it; null where it never did. */
  readonly offset: number | null;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

/** A manifest that a registry has served. */
export interface ManifestTarget {
  readonly repository: string;
  /** A tag or a digest. */
  readonly reference: string;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

/** What one registry can be asked for, the best first. */
export interface RegistryTargets {
  readonly layers: readonly LayerTarget[];
  readonly manifests: readonly ManifestTarget[];
}

/** By the registry's prefix. */
export type KeptTargets = ReadonlyMap<string, RegistryTargets>;

/** The one where it failed, and three to go on with when images are deleted. */
export const maxLayers = 4;

/** As `maxLayers`, without a place of failure. */
export const maxManifests = 3;

/** The newer of each, the best first, and no more than are needed; of one and the same time, what was added. */
export function mergeTargets(known: RegistryTargets, added: RegistryTargets): RegistryTargets {
  return {
    layers: bestLayers(newestOfEach([...added.layers, ...known.layers], layerKey, mergeLayer)),
    manifests: newestOfEach([...added.manifests, ...known.manifests], manifestKey, newer)
      .toSorted((a, b) => b.atMs - a.atMs)
      .slice(0, maxManifests),
  };
}

/** First the one where the registry failed last, then those that are long enough to have a middle. */
function bestLayers(layers: readonly LayerTarget[]): readonly LayerTarget[] {
  const newestFirst = layers.toSorted((a, b) => b.atMs - a.atMs);
  const failed = newestFirst.find(({ offset }) => offset !== null);
  const others = newestFirst.filter((layer) => layer !== failed);
  const isShort = ({ size }: LayerTarget): number => (size < probeBytes ? 1 : 0);
  return [...(failed === undefined ? [] : [failed]), ...others.toSorted((a, b) => isShort(a) - isShort(b))].slice(
    0,
    maxLayers,
  );
}

export function layerKey({ repository, digest }: Pick<LayerTarget, 'repository' | 'digest'>): string {
  return `${repository} ${digest}`;
}

export function manifestKey({ repository, reference }: Pick<ManifestTarget, 'repository' | 'reference'>): string {
  return `${repository} ${reference}`;
}

function newestOfEach<T>(all: readonly T[], keyOf: (each: T) => string, merge: (one: T, other: T) => T): T[] {
  const known = new Map<string, T>();
  for (const each of all) {
    const key = keyOf(each);
    const other = known.get(key);
    known.set(key, other === undefined ? each : merge(other, each));
  }
  return [...known.values()];
}

function newer<T extends { readonly atMs: number }>(one: T, other: T): T {
  return other.atMs > one.atMs ? other : one;
}

/** That a layer was served whole does not undo where the registry had failed with it. */
function mergeLayer(one: LayerTarget, other: LayerTarget): LayerTarget {
  const [older, latest] = other.atMs > one.atMs ? [one, other] : [other, one];
  return { ...latest, offset: latest.offset ?? older.offset };
}

/** `probe-targets.json`. */
export const probeTargetsDocument: DocumentKind<KeptTargets> = {
  name: 'probe-targets',
  empty: new Map(),
  format: (targets) => ({ version: 1, registries: [...targets].map(([registry, found]) => ({ registry, ...found })) }),
  parse: (value) => {
    const { version, registries } = objectOf(value);
    if (version !== 1 || !Array.isArray(registries)) throw new TypeError('it is not version 1 of the probe targets');
    return new Map(registries.map(parseRegistry));
  },
};

function parseRegistry(value: unknown): readonly [string, RegistryTargets] {
  const { registry, layers, manifests } = objectOf(value);
  if (!Array.isArray(layers) || !Array.isArray(manifests)) throw new TypeError('a registry lacks its targets');
  return [textOf(registry), { layers: layers.map(parseLayer), manifests: manifests.map(parseManifest) }];
}

function parseLayer(value: unknown): LayerTarget {
  const { repository, digest, size, offset, atMs } = objectOf(value);
  const parsed = parseDigest(textOf(digest));
  if (parsed === null) throw new TypeError('a layer has a malformed digest');
  return {
    repository: textOf(repository),
    digest: parsed,
    size: countOf(size),
    offset: offset === null ? null : countOf(offset),
    atMs: Math.min(countOf(atMs), epochMs()),
  };
}

function parseManifest(value: unknown): ManifestTarget {
  const { repository, reference, atMs } = objectOf(value);
  return {
    repository: textOf(repository),
    reference: textOf(reference),
    atMs: Math.min(countOf(atMs), epochMs()),
  };
}

function textOf(value: unknown): string {
  if (typeof value !== 'string' || value === '') throw new TypeError('a name is malformed');
  return value;
}

function countOf(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new TypeError('a number is malformed');
  }
  return value;
}
