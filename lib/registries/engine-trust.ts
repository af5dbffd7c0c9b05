import ipaddr from 'ipaddr.js';
import { dockerHub, parseHost, withoutBrackets } from '../image/registry-host.js';
import { beyondLoopback, isInRanges } from './address-range.js';
import type { Registry } from './registry.js';

/** What a daemon says about the registries it pulls from. */
export interface DaemonTrust {
  /** Networks whose registries it takes without a valid certificate, or without TLS. */
  readonly insecureCidrs: readonly string[];
  /** The same by `host[:port]`; to Podman a host alone stands for all its ports, to Docker for none of them. */
  readonly insecureRegistries: readonly string[];
  readonly product: 'docker' | 'podman';
}

/**
 * Whether a daemon takes this registry without a valid certificate, or without TLS, wherever its name leads: it lists the
 * very host and port, or the address, and the registry's own options say nothing else.
 */
export function isInsecure(registry: Registry, trust: DaemonTrust): boolean {
  if (!isLeftToDaemon(registry)) return false;
  const { host } = registry;
  const names = [host, ...(trust.product === 'podman' ? [host.replace(/:\d+$/, '')] : [])];
  if (trust.insecureRegistries.some((listed) => names.includes(parseHost(listed) ?? listed))) return true;
  return isInRanges(hostnameOf(registry), trust.insecureCidrs);
}

/**
 * The networks in which a registry is insecure to Docker if its name has an address there; none where no address could
 * make a difference. Podman looks no names up.
 *
 * Loopback is none of them, though Docker counts it: it is among the networks of every daemon, without anybody having
 * asked for it, and whoever can answer for a name could lead there.
 *
 * @see https://github.com/moby/moby/blob/v26.1.5/registry/config.go `isSecureIndex`
 */
export function insecureNetworks(registry: Registry, trust: DaemonTrust): readonly string[] {
  if (trust.product === 'podman' || !isLeftToDaemon(registry) || isInsecure(registry, trust)) return [];
  return ipaddr.isValid(hostnameOf(registry)) ? [] : beyondLoopback(trust.insecureCidrs);
}

/** What is plain already needs nobody's leave. */
function isLeftToDaemon({ given, baseUrl, host }: Registry): boolean {
  return given === 'nothing' && !baseUrl.startsWith('http:') && host !== dockerHub;
}

function hostnameOf({ baseUrl }: Registry): string {
  return withoutBrackets(new URL(baseUrl).hostname);
}
