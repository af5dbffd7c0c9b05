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
