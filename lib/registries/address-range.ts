import ipaddr from 'ipaddr.js';

/** Whether a host, without port and brackets, is an address in one of these networks (CIDR). A name is in none. */
export function isInRanges(host: string, ranges: readonly string[]): boolean {
  if (!ipaddr.isValid(host)) return false;
  const address = ipaddr.process(host);
  return ranges.some((range) => {
    if (!ipaddr.isValidCIDR(range)) return false;
    const [network, bits] = ipaddr.parseCIDR(range);
    return network.kind() === address.kind() && address.match(network, bits);
  });
}

/** Those of some networks (CIDR) that are not of loopback; what is no network is not among them. */
export function beyondLoopback(ranges: readonly string[]): readonly string[] {
  return ranges.filter((range) => ipaddr.isValidCIDR(range) && ipaddr.parseCIDR(range)[0].range() !== 'loopback');
}

/** Everybody has them, so that one is in a network says nothing of who is there. The last one may lead to any of the others. */
const everybodys: readonly string[] = ['loopback', 'unspecified', 'linkLocal', 'multicast', 'broadcast', 'rfc6052'];

/**
 * Whether an address that a resolver tells for a name is in one of these networks (CIDR). Those of this host and of its
 * link, where clouds keep their metadata services, are in none, however wide: no resolver is to lead there.
 */
export function leadsInto(address: string, ranges: readonly string[]): boolean {
  return isInRanges(address, ranges) && !everybodys.includes(ipaddr.process(address).range());
}
