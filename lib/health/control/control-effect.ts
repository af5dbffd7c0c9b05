import type { Control } from '../../vocabulary/control.js';
import type { RegistryPhase } from '../../vocabulary/phase.js';

/** For whom a registry's place is wanted. */
export interface ControlQuery {
  /** Null: the image is in no set. */
  readonly replicaSet: string | null;
  /** Null: the pull says no kind. Several: of all who share it, since what is said of one of them holds for the pull. */
  readonly operationKind: string | null | readonly (string | null)[];
  readonly phase: RegistryPhase;
}

/** What operators say about one registry, for one pull in one phase. In this order: ban, preference, hold. */
export interface ControlEffect {
  /** It is not asked. */
  readonly banned: Control | null;
  /** A ban that is not obeyed: without it nobody would be left, and nobody has forced it. */
  readonly spared: Control | null;
  /** It comes first. */
  readonly preferred: Control | null;
  /** The lowest comes first, the newest preference; Infinity without one. */
  readonly preferredRank: number;
  /** What its circuit counts as, whatever it is; null: what it is. */
  readonly held: 'open' | 'closed' | null;
}

/** What holds where nobody said anything. */
export const noEffect: ControlEffect = Object.freeze({
  banned: null,
  spared: null,
  preferred: null,
  preferredRank: Infinity,
  held: null,
});

/** Whether an act concerns such a pull, at any registry. */
export function concerns({ scope }: Control, { replicaSet, operationKind, phase }: ControlQuery): boolean {
  return (
    (scope.replicaSet === undefined || scope.replicaSet === replicaSet) &&
    (scope.operationKind === undefined || [operationKind].flat().includes(scope.operationKind)) &&
    (scope.phase === undefined || scope.phase === phase)
  );
}

/** What is said about one registry. @param ranked what is in force, the newest first */
export function effectOf(ranked: readonly Control[], registry: string, query: ControlQuery): ControlEffect {
  const said = ranked.filter((control) => control.registry === registry && concerns(control, query));
  if (said.length === 0) return noEffect;
  const bans = said.filter(({ act }) => act === 'ban');
  const preferred = said.find(({ act }) => act === 'prefer') ?? null;
  return {
    banned: bans.find(({ force }) => force) ?? bans[0] ?? null,
    spared: null,
    preferred,
    preferredRank: preferred === null ? Infinity : ranked.indexOf(preferred),
    held: said.find(({ act }) => act === 'hold')?.as ?? null,
  };
}

/**
 * What is said about each registry of one plan. When all of them are banned, the ban that came last is not obeyed
 * unless it was forced: somebody must be left to ask.
 *
 * @param ranked what is in force, the newest first
 */
export function effectsOf(
  ranked: readonly Control[],
  registries: readonly string[],
  query: ControlQuery,
): ReadonlyMap<string, ControlEffect> {
  const effects = new Map(registries.map((registry) => [registry, effectOf(ranked, registry, query)]));
  const bans = [...effects.values()].map(({ banned }) => banned);
  if (bans.length === 0 || bans.includes(null)) return effects;
  const last = ranked.find((control) => bans.includes(control));
  const effect = last === undefined ? undefined : effects.get(last.registry);
  if (last === undefined || effect === undefined || last.force) return effects;
  return effects.set(last.registry, { ...effect, banned: null, spared: last });
}
