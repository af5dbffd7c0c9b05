import ipaddr from 'ipaddr.js';
import { readProxies } from '../../distribution/proxies.js';
import type { EngineTraits } from '../../engine/docker/engine-traits.js';
import { isInRanges } from '../../registries/address-range.js';

type Address = ReturnType<typeof ipaddr.parse>;

/** The host of `host:port`, without the brackets of IPv6. */
export function hostOf(address: string): string {
  return address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}

/** Whether a host is the machine that looks at it. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || parsed(host)?.range() === 'loopback';
}

/**
 * Whether a daemon takes plain HTTP from `host:port`: everywhere else it would insist on TLS, and the secret that it is
 * told would cross a network in the clear. What a name resolves to over there is not known, so a name has to be listed.
 */
export function isTrustedPlain(
  address: string,
  traits: Pick<EngineTraits, 'insecureCidrs' | 'insecureRegistries' | 'product'>,
): boolean {
  const host = hostOf(address);
  if (isLoopback(host) || isListed(address, traits)) return true;
  return isInRanges(host, traits.insecureCidrs);
}

/** Whether a daemon would ask this `host:port` through its proxy, which would read the secret that the relay wants to see. */
export function isProxied(
  address: string,
  { httpProxy, httpsProxy, noProxy }: Pick<EngineTraits, 'httpProxy' | 'httpsProxy' | 'noProxy'>,
): boolean {
  const proxyOf = readProxies({
    HTTP_PROXY: httpProxy ?? undefined,
    HTTPS_PROXY: httpsProxy ?? undefined,
    NO_PROXY: noProxy ?? undefined,
  });
  // It tries TLS first.
  return ['http', 'https'].some((scheme) => proxyOf(new URL(`${scheme}://${address}/`)) !== null);
}

/**
 * Whether a daemon's configuration names this `host:port` as insecure. To Podman a host alone stands for all its ports,
 * to Docker for none of them.
 *
 * @see https://github.com/moby/moby/blob/v26.1.5/registry/config.go `isSecureIndex`
 */
export function isListed(
  address: string,
  { insecureRegistries, product }: Pick<EngineTraits, 'insecureRegistries' | 'product'>,
): boolean {
  return insecureRegistries.some(
    (listed) => listed === address || (product === 'podman' && listed === hostOf(address)),
  );
}

function parsed(host: string): Address | null {
  return ipaddr.isValid(host) ? ipaddr.process(host) : null;
}
