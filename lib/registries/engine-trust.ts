import { dockerHub, parseHost, withoutBrackets } from '../image/registry-host.js';
import { isInRanges } from './address-range.js';
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
 * Whether a daemon takes this registry without a valid certificate, or without TLS: where it lists the very host and port,
 * or the address, and the registry's own options say nothing else. What a name resolves to is not asked.
 */
export function isInsecure(registry: Registry, trust: DaemonTrust): boolean {
  const { host, given, baseUrl } = registry;
  // What is plain already needs nobody's leave.
  if (given !== 'nothing' || baseUrl.startsWith('http:') || host === dockerHub) return false;
  const names = [host, ...(trust.product === 'podman' ? [host.replace(/:\d+$/, '')] : [])];
  if (trust.insecureRegistries.some((listed) => names.includes(parseHost(listed) ?? listed))) return true;
  return isInRanges(withoutBrackets(new URL(baseUrl).hostname), trust.insecureCidrs);
}
