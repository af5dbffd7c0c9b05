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
