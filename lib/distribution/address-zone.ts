import ipaddr from 'ipaddr.js';

/**
 * How far an address reaches.
 *
 * - `public`: a global unicast address
 * - `private`: this organisation's network (RFC 1918, unique local, carrier-grade NAT)
 * - `loopback`: this host
 * - `special`: everything else, link-local (where clouds keep their metadata services) and multicast among it
 */
export type AddressZone = 'public' | 'private' | 'loopback' | 'special';

/** The other end of a connection. */
export interface Peer {
  readonly address: string;
  readonly zone: AddressZone;
}

/** Who is at an IP address. */
export function peerAt(address: string): Peer {
  return { address, zone: zoneOfAddress(address) };
}

/** Tells the zone of an IP address in text; what is no address at all is `special`. */
export function zoneOfAddress(address: string): AddressZone {
  // The scope of a link-local address (`fe80::1%eth0`) says nothing about its zone.
  const bare = address.replace(/%.*$/, '');
  if (!ipaddr.isValid(bare)) return 'special';
  const parsed = ipaddr.parse(bare);
  return parsed.kind() === 'ipv4' ? zoneOfIpv4(parsed as ipaddr.IPv4) : zoneOfIpv6(parsed as ipaddr.IPv6);
}

function zoneOfIpv4(address: ipaddr.IPv4): AddressZone {
  switch (address.range()) {
    case 'unicast':
      return 'public';
    case 'private':
    case 'carrierGradeNat':
      return 'private';
    case 'loopback':
      return 'loopback';
    default:
      return 'special';
  }
}

function zoneOfIpv6(address: ipaddr.IPv6): AddressZone {
  switch (address.range()) {
    case 'unicast':
      return isGlobalUnicast(address) ? 'public' : 'special';
    case 'uniqueLocal':
      return 'private';
    case 'loopback':
      return 'loopback';
    case 'ipv4Mapped':
      return zoneOfIpv4(address.toIPv4Address());
    case 'rfc6052':
      return zoneOfTranslated(address);
    default:
      return 'special';
  }
}

/** Nothing outside `2000::/3` is assigned for use on the internet (RFC 4291, section 2.4, and IANA's registry). */
function isGlobalUnicast(address: ipaddr.IPv6): boolean {
  return (address.parts[0] ?? 0) >> 13 === 1;
}

/**
 * An IPv6-only host reaches IPv4 registries through `64:ff9b::/96` (NAT64, RFC 6052): what counts is the IPv4 address
 * at its end. In other translation prefixes nobody can tell where that address is.
 */
function zoneOfTranslated(address: ipaddr.IPv6): AddressZone {
  const [, , ...rest] = address.parts;
  if (rest.slice(0, 4).some((part) => part !== 0)) return 'special';
  const [high = 0, low = 0] = rest.slice(4);
  return zoneOfIpv4(new ipaddr.IPv4([high >> 8, high & 0xff, low >> 8, low & 0xff]));
}

/**
 * Tells the zone of a URL's host where the name alone tells it: an address, or a name that always means this host.
 * Null for any other name, whose addresses decide.
 */
export function zoneOfHost(hostname: string): AddressZone | null {
  const name = hostname.toLowerCase().replace(/\.$/, '');
  if (name.startsWith('[') && name.endsWith(']')) return zoneOfAddress(name.slice(1, -1));
  if (ipaddr.IPv4.isValidFourPartDecimal(name) || ipaddr.IPv6.isValid(name)) return zoneOfAddress(name);
  return name === 'localhost' || name.endsWith('.localhost') ? 'loopback' : null;
}
