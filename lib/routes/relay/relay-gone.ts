import type { DockerDaemon } from '../../engine/docker/docker-daemon.js';
import type { Relay } from '../../relay/relay.js';
import { loadAddress } from '../load/load-names.js';
import { hostOf, isLoopback } from './relay-address.js';
import { isDeserted, reachesRelay } from './relay-handshake.js';

/** A relay of which only its address is known, from a name in a daemon. */
export interface AbsentRelay {
  readonly daemon: DockerDaemon;
  /** `host:port`, as the daemon sees it. */
  readonly address: string;
  /** The relay of this process for the same daemon; null where there is none. */
  readonly own: Pick<Relay, 'address' | 'heardOf'> | null;
  readonly signal: AbortSignal;
}

/**
 * Whether the relay that gave a daemon a name is gone for certain, though its process cannot be looked for: it was of
 * another boot, in another container. A relay listens for longer than its names are needed, so it is gone where the
 * daemon finds nobody on its loopback, or finds us. Anywhere else a network lies between, whose refusals prove nothing,
 * and a load never listened.
 *
 * @throws EngineFailure when the daemon cannot be asked; Error when it does not know in time; the signal's own reason
 */
export async function isRelayGone({ daemon, address, own, signal }: AbsentRelay): Promise<boolean> {
  if (own !== null && own.address === address) return reachesRelay(daemon, own, signal);
  if (address === loadAddress || !isLoopback(hostOf(address))) return false;
  return isDeserted(daemon, address, signal);
}
