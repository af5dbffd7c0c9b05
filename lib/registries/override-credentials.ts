import type { Reference } from '../image/reference.js';
import type { CredentialSource } from './credentials.js';
import { canonicalHost } from './prefix.js';
import type { Place } from './replica-set.js';

/** A place, and the credentials to use there. */
export interface PlaceWithCredentials extends Place {
  readonly credentials: CredentialSource;
}

/**
 * Binds credentials given for one pull to the image's own registry: the places with the very host and port of the
 * image's name use them, every other one its own. A replica elsewhere never sees a secret that was meant for another host.
 */
export function overrideCredentials(
  places: readonly Place[],
  reference: Reference,
  credentials: CredentialSource | undefined,
): readonly PlaceWithCredentials[] {
  const host = canonicalHost(reference.host);
  return places.map((place) => ({
    ...place,
    credentials: credentials !== undefined && place.registry.host === host ? credentials : place.registry.credentials,
  }));
}
