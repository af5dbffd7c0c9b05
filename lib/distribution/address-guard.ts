import { leadsInto } from '../registries/address-range.js';
import type { AddressZone } from './address-zone.js';

/** Decides which addresses a request may be connected to. */
export interface AddressGuard {
  /** @param address null while only the zone is known, as the name tells it */
  admits(zone: AddressZone, address: string | null): boolean;
}

/** For hosts that the operator has named: wherever their names lead. */
export const anyAddress: AddressGuard = { admits: () => true };

/** Where an answer from a zone may lead: never further in than where it came from itself. */
const reach: Readonly<Record<AddressZone, readonly AddressZone[]>> = {
  public: ['public'],
  private: ['public', 'private'],
  loopback: ['public', 'private', 'loopback'],
  special: ['public', 'private'],
};

/**
 * For hosts that a peer has named (a realm, a redirect). A public registry cannot lead this host to its own loopback,
 * its private network or a cloud's metadata service; a registry that is itself private may name private ones.
 *
 * @param zone of the address that the naming answer came from
 */
export function guardOfAnswer(zone: AddressZone): AddressGuard {
  return { admits: (target) => reach[zone].includes(target) };
}

/** For a name that is trusted for where it leads: to one of these networks (CIDR), and nowhere else. */
export function guardOfNetworks(networks: readonly string[]): AddressGuard {
  return { admits: (_zone, address) => address !== null && leadsInto(address, networks) };
}

/** An address was refused by a guard, before any byte was sent to it. */
export class AddressRefusedError extends Error {
  override readonly name = 'AddressRefusedError';

  constructor(hostname: string, zone: AddressZone) {
    super(`${hostname} is a ${zone} address, where the answer that names it may not lead`);
  }
}
