import { ImageRefusedError } from '../errors/image-refused-error.js';
import { InvalidOptionError } from '../errors/invalid-option-error.js';
import type { Reference } from '../image/reference.js';
import { openOptionBag } from '../policy/option-bag.js';
import { createDaemonCertificates, withDaemonCertificates, type DaemonCertificates } from './daemon-certificates.js';
import { createDockerConfig, type DockerConfig } from './docker-config.js';
import { canonicalHost, splitsOf } from './prefix.js';
import { recentlyUsed } from './recently-used.js';
import { ownRegistry, parseRegistry, type Registry, type RegistryContext, type RegistryOptions } from './registry.js';

/** A named list of registries, in order of priority, that hold the same repositories under their prefixes. */
export interface ReplicaSetOptions {
  /** What plan and report call it; unique. */
  readonly name: string;
  /** At least one; a string is a prefix with every option at its default. */
  readonly registries: readonly (string | RegistryOptions)[];
}

/** What becomes of an image in no replica set: pulled from its own registry alone, or refused. */
export type Unlisted = 'own-registry' | 'refuse';

/** A replica set, checked. */
export interface ReplicaSet {
  readonly name: string;
  /** In order of priority. */
  readonly registries: readonly Registry[];
}

/** Where one image is at one registry. */
export interface Place {
  readonly registry: Registry;
  /** The repository's path at that registry, without the host. */
  readonly repository: string;
}

/** Where one image may be had. */
export interface Placement {
  /** The set's name, or null: the image's own registry alone. */
  readonly replicaSet: string | null;
  /** In order of priority. */
  readonly places: readonly Place[];
}

/** All replica sets of one puller. */
export interface ReplicaSets {
  readonly sets: readonly ReplicaSet[];
  /** Every registry of every set. */
  readonly registries: readonly Registry[];
  /**
   * Finds the set with the longest prefix of the image's name, and the image's place at each of its registries.
   *
   * @throws ImageRefusedError when it is in no set, and `unlisted` is `'refuse'`
   */
  place(reference: Reference): Placement;
}

/** The slice of a puller's options that says where images are. */
export interface ReplicaSetsOptions {
  readonly registries?: unknown;
  readonly replicaSets?: unknown;
  readonly unlisted?: unknown;
  /** Where default credentials come from; default: this user's Docker configuration. */
  readonly dockerConfig?: DockerConfig;
  /** By which registries are recognised whose options say nothing; default: those of Docker's daemon on this host. */
  readonly certificates?: DaemonCertificates;
}

/** The name of the one set that `registries` describes. */
export const defaultReplicaSetName = 'default';

/**
 * Reads `registries` (one set), or `replicaSets` (several), and `unlisted`. With neither, every image is unlisted.
 *
 * @throws InvalidOptionError
 */
export function parseReplicaSets(options: ReplicaSetsOptions): ReplicaSets {
  const context: RegistryContext = { dockerConfig: options.dockerConfig ?? createDockerConfig() };
  const certificates = options.certificates ?? createDaemonCertificates();
  const bag = openOptionBag('', { unlisted: options.unlisted }, ['unlisted']);
  const unlisted: Unlisted = bag.oneOf('unlisted', ['own-registry', 'refuse']) ?? 'own-registry';
  const found = parseSets(options, context);
  if (found.length === 0 && unlisted === 'refuse') {
    throw new InvalidOptionError(
      'unlisted',
      `'refuse' contradicts the absence of registries and replicaSets: every image would be refused`,
    );
  }
  refuseRepeatedNames(found);
  const setOf = indexByPrefix(found);
  const sets = Object.freeze(found.map(({ set }) => set));
  const own = recentlyUsed((host) => ownRegistry(host, context));
  const recognised = ({ registry, repository }: Place): Place => ({
    registry: withDaemonCertificates(registry, certificates),
    repository,
  });

  return Object.freeze({
    sets,
    registries: Object.freeze(sets.flatMap((set) => set.registries)),
    place: (reference: Reference): Placement => {
      for (const { prefix, rest } of splitsOf(reference)) {
        const set = setOf.get(prefix);
        if (set !== undefined) return { replicaSet: set.name, places: placesIn(set, rest).map(recognised) };
      }
      if (unlisted === 'refuse')
        throw new ImageRefusedError(
          reference.canonical,
          'unlisted',
          `${reference.canonical} is in no replica set, and unlisted images are refused (unlisted: 'refuse')`,
        );
      return {
        replicaSet: null,
        places: [recognised({ registry: own.of(canonicalHost(reference.host)), repository: reference.path })],
      };
    },
  });
}

interface ParsedSet {
  readonly set: ReplicaSet;
  readonly path: string;
  readonly registriesPath: string;
}

function parseSets(options: ReplicaSetsOptions, context: RegistryContext): readonly ParsedSet[] {
  const { registries, replicaSets } = options;
  if (registries !== undefined && replicaSets !== undefined) {
    throw new InvalidOptionError('replicaSets', 'contradicts registries: give one replica set, or several');
  }
  if (registries !== undefined) {
    return [
      {
        set: parseSet(defaultReplicaSetName, registries, 'registries', context),
        path: 'registries',
        registriesPath: 'registries',
      },
    ];
  }
  if (replicaSets === undefined) return [];
  return listOf(replicaSets, 'replicaSets', 'a replica set').map((value, index) => {
    const bag = openOptionBag(`replicaSets[${index}]`, value ?? null, ['name', 'registries']);
    const name = bag.string('name');
    if (name === undefined) throw new InvalidOptionError(bag.pathOf('name'), 'is missing');
    const registriesPath = bag.pathOf('registries');
    return { set: parseSet(name, bag.raw('registries'), registriesPath, context), path: bag.path, registriesPath };
  });
}

function parseSet(name: string, registries: unknown, path: string, context: RegistryContext): ReplicaSet {
  const parsed = listOf(registries, path, 'a registry').map((value, index) =>
    parseRegistry(value, `${path}[${index}]`, context),
  );
  return Object.freeze({ name, registries: Object.freeze(parsed) });
}

function listOf(value: unknown, path: string, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new InvalidOptionError(path, `must be an array with at least ${what}`);
  if (value.length === 0) throw new InvalidOptionError(path, `must hold at least ${what}, got an empty array`);
  // A hole in the array is a missing entry, not one to pass over.
  return Array.from(value as readonly unknown[]);
}

function refuseRepeatedNames(found: readonly ParsedSet[]): void {
  const seen = new Map<string, string>();
  for (const { set, path } of found) {
    const first = seen.get(set.name);
    if (first !== undefined) {
      throw new InvalidOptionError(`${path}.name`, `repeats the name ${JSON.stringify(set.name)} of ${first}`);
    }
    seen.set(set.name, path);
  }
}

function indexByPrefix(found: readonly ParsedSet[]): ReadonlyMap<string, ReplicaSet> {
  const setOf = new Map<string, ReplicaSet>();
  const firstAt = new Map<string, string>();
  for (const { set, registriesPath } of found) {
    for (const [index, registry] of set.registries.entries()) {
      const path = `${registriesPath}[${index}]`;
      // Two spellings of one place (`quay.io` and `quay.io:443`) would be a replica of itself.
      const location = `${registry.baseUrl}/${registry.path}`;
      const first = firstAt.get(registry.prefix) ?? firstAt.get(location);
      if (first !== undefined) {
        throw new InvalidOptionError(
          path,
          `repeats ${JSON.stringify(registry.prefix)}, which is the place of ${first} already`,
        );
      }
      firstAt.set(registry.prefix, path);
      firstAt.set(location, path);
      setOf.set(registry.prefix, set);
    }
  }
  return setOf;
}

function placesIn(set: ReplicaSet, rest: string): readonly Place[] {
  const places: Place[] = [];
  for (const registry of set.registries) {
    const repository = [registry.path, rest].filter((part) => part !== '').join('/');
    // A registry given as a whole host has no repository for a name that ends where another one's prefix does.
    if (repository !== '') places.push({ registry, repository });
  }
  return places;
}
