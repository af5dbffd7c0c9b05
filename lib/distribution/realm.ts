import { anyAddress, guardOfAnswer, type AddressGuard } from './address-guard.js';
import type { AddressZone } from './address-zone.js';

/** A token service that may be asked, or why not. */
export type Realm =
  { readonly url: URL; readonly guard: AddressGuard } | { readonly refused: 'realm-untrusted' | 'challenge-malformed' };

/**
 * Decides whether the realm of a Bearer challenge may be asked for a token, which means: be shown the credentials that
 * the operator gave for this registry.
 *
 * The rule. As in Docker, a registry's own word is enough for where its tokens come from (`registry-1.docker.io` names
 * `auth.docker.io`): the operator trusts it with these credentials, and TLS proves that it is itself. Therefore
 *
 * - only an answer of the registry's own origin counts. Whatever a redirect led to has no say, or it could ask for
 *   credentials that are not its own (CVE-2020-15157 of containerd);
 * - the realm of an https registry is https, so that nobody on the way can read or name it;
 * - it leads nowhere that the registry itself could not: not into this host's loopback, private network or metadata
 *   service, unless the registry is there (the address connected to is checked, too).
 *
 * @param zone where the answer with the challenge came from
 */
export function parseRealm(realm: string, registryUrl: URL, zone: AddressZone): Realm {
  let url: URL;
  try {
    url = new URL(realm);
  } catch {
    return { refused: 'challenge-malformed' };
  }
  if (url.protocol !== 'https:' && (url.protocol !== 'http:' || registryUrl.protocol === 'https:')) {
    return { refused: 'realm-untrusted' };
  }
  if (url.username !== '' || url.password !== '') return { refused: 'realm-untrusted' };
  url.hash = '';
  return { url, guard: url.origin === registryUrl.origin ? anyAddress : guardOfAnswer(zone) };
}
