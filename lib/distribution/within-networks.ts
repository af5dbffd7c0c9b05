import { guardOfNetworks, type AddressGuard } from './address-guard.js';
import type { Transport, WireTarget } from './transport.js';

/**
 * The same transport, which reaches one name at addresses in some networks alone, whatever a resolver says next, and
 * without a proxy, which would look the name up for itself. Other hosts are reached as ever.
 *
 * @param hostname as in a URL
 * @param networks in CIDR form
 */
export function withinNetworks(transport: Transport, hostname: string, networks: readonly string[]): Transport {
  const inside = guardOfNetworks(networks);
  const both = (guard: AddressGuard): AddressGuard => ({
    admits: (zone, address) => guard.admits(zone, address) && inside.admits(zone, address),
  });
  const kept = <Target extends WireTarget>(target: Target): Target =>
    target.url.hostname === hostname ? { ...target, guard: both(target.guard), proxy: null } : target;

  return {
    send: (request) => transport.send(kept(request)),
    warm: (target, signal) => transport.warm(kept(target), signal),
    addressesOf: (url, signal) => transport.addressesOf(url, signal),
    get openSockets() {
      return transport.openSockets;
    },
    close: () => transport.close(),
    [Symbol.asyncDispose]: () => transport.close(),
  };
}
