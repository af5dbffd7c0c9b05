import { InvalidOptionError } from '../../errors/invalid-option-error.js';
import { showValue } from '../../policy/option-bag.js';
import type { Control } from '../../vocabulary/control.js';
import { registryPhases, type RegistryPhase } from '../../vocabulary/phase.js';
import { concerns } from './control-effect.js';
import type { WantedControl } from './control-entry.js';

/** A replica set, as far as operators can act on it. */
export interface ControlledSet {
  readonly name: string;
  /** The prefixes of its registries that may be contacted. */
  readonly registries: readonly string[];
}

/** A pull that would find nobody to ask. */
export interface Deserted {
  readonly replicaSet: string;
  /** Null: of any kind. */
  readonly operationKind: string | null;
  readonly phase: RegistryPhase;
}

/**
 * Refuses an act on what is not there: it would look as if it held.
 *
 * @param pathOf the name by which the caller knows a key
 * @throws InvalidOptionError naming what there is
 */
export function refuseUnknownPlace(
  { registry, scope }: WantedControl,
  sets: readonly ControlledSet[],
  pathOf: (key: 'registry' | 'replicaSet') => string,
): void {
  const { replicaSet } = scope;
  const path = pathOf(replicaSet === undefined ? 'registry' : 'replicaSet');
  const inScope = replicaSet === undefined ? sets : sets.filter(({ name }) => name === replicaSet);
  if (replicaSet !== undefined && inScope.length === 0) {
    throw new InvalidOptionError(
      path,
      `must be the name of a replica set, got ${showValue(replicaSet, path)}; ${known(sets.map(({ name }) => name))}`,
    );
  }
  const registries = inScope.flatMap((set) => set.registries);
  if (registries.includes(registry)) return;
  const where = replicaSet === undefined ? 'a replica set' : `the replica set '${replicaSet}'`;
  throw new InvalidOptionError(
    pathOf('registry'),
    `must be the prefix of a registry in ${where} that may be contacted, got ${showValue(registry, path)}; ${known(registries)}`,
  );
}

/**
 * Whom a ban would leave with nobody to ask, as far as it is certain; null: there is always somebody, or it is forced.
 *
 * @param bans all that would be in force, this one among them
 */
export function desertedBy(ban: Control, bans: readonly Control[], sets: readonly ControlledSet[]): Deserted | null {
  if (ban.act !== 'ban' || ban.force) return null;
  const { scope } = ban;
  const phases = scope.phase === undefined ? registryPhases : [scope.phase];
  for (const { name, registries } of sets) {
    if (!registries.includes(ban.registry) || (scope.replicaSet ?? name) !== name) continue;
    const others = bans.filter(({ act, registry }) => act === 'ban' && registries.includes(registry));
    const kinds = new Set(others.map((other) => other.scope.operationKind ?? null));
    for (const operationKind of scope.operationKind === undefined ? [null, ...kinds] : [scope.operationKind]) {
      for (const phase of phases) {
        const query = { replicaSet: name, operationKind, phase };
        const banned = new Set(others.filter((other) => concerns(other, query)).map(({ registry }) => registry));
        if (registries.every((registry) => banned.has(registry))) return query;
      }
    }
  }
  return null;
}

/** `the layers of database pulls of the replica set 'default'` */
export function nameDeserted({ replicaSet, operationKind, phase }: Deserted): string {
  const pulls = operationKind === null ? 'pulls' : `${operationKind} pulls`;
  return `${phase === 'layers' ? 'the layers' : 'the manifests'} of ${pulls} of the replica set '${replicaSet}'`;
}

function known(names: readonly string[]): string {
  return names.length === 0 ? 'there are none' : `there are: ${names.join(', ')}`;
}
