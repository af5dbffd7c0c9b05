import type { PullEvents } from '../events/event-bus.js';
import type { Reference } from '../image/reference.js';
import type { CredentialSource } from '../registries/credentials.js';
import { canonicalHost } from '../registries/prefix.js';
import type { ReplicaSets } from '../registries/replica-set.js';
import type { Puller } from './puller.js';

/**
 * By the events of the puller, which a host's own object around it has too. Not on the puller itself: whoever is given
 * one can pull with its credentials, and need not have them.
 */
const setsOf = new WeakMap<PullEvents, ReplicaSets>();

/** Lets `ownCredentialsOf` find what a puller was made with. */
export function keepCredentials(puller: Puller, replicaSets: ReplicaSets): void {
  setsOf.set(puller.events, replicaSets);
}

/**
 * What a puller shows the image's own registry, and no other one; null where it does not ask that registry for the image,
 * and for a puller of another make.
 *
 * @throws ImageRefusedError
 */
export function ownCredentialsOf(puller: Puller, reference: Reference): CredentialSource | null {
  const host = canonicalHost(reference.host);
  const places = setsOf.get(puller.events)?.place(reference).places ?? [];
  const own = places.find(({ registry, repository }) => registry.host === host && repository === reference.path);
  return own?.registry.credentials ?? null;
}
