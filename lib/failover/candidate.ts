import type { RegistryClient } from '../distribution/client.js';

/** A registry in the plan of one pull, ready to be asked. */
export interface Candidate {
  /** The registry's prefix. */
  readonly registry: string;
  /** The repository at that registry, without the host. */
  readonly repository: string;
  /** Whether it may turn tags into digests. */
  readonly resolves: boolean;
  /** Whether its word on a tag needs no confirmation: the first that resolves, in the order the host wants. */
  readonly isAuthority: boolean;
  readonly client: RegistryClient;
}

/** Those of the candidates that have these prefixes, in the prefixes' order. */
export function inOrder(candidates: readonly Candidate[], prefixes: readonly string[]): readonly Candidate[] {
  return prefixes.flatMap((prefix) => candidates.find(({ registry }) => registry === prefix) ?? []);
}
