import net from 'node:net';
import { withoutBrackets } from '../image/registry-host.js';
import { AddressRefusedError, type AddressGuard } from './address-guard.js';
import { zoneOfAddress, zoneOfHost } from './address-zone.js';
import type { ConnectStage } from './connect-progress.js';
import type { Address, NameLookup } from './name-lookup.js';

/** What a socket is opened to. */
export interface SocketTarget {
  /** As in a URL: IPv6 addresses in brackets. */
  readonly hostname: string;
  readonly port: number;
  readonly guard: AddressGuard;
}

/** What opening a socket needs. */
export interface SocketOpener {
  readonly lookup: NameLookup;
  readonly watch: SocketWatch;
  /** Told what is waited for. */
  readonly at: (stage: ConnectStage) => void;
}

/** Sees every socket from its first moment, so that one that is still connecting can be ended too. */
export type SocketWatch = (socket: net.Socket) => void;

/**
 * How long one address may take before the next one of the other family is tried as well. Node's 250 ms give up on
 * far registries whose handshake takes longer; a lost SYN is repeated after 1 s, so waiting that long gains nothing.
 */
const nextAddressMs = 600;

/** As much as one read of a fast link brings; a small one costs a turn of the loop for every few packets. */
const readAheadBytes = 64 * 1024;

/** Finds dead peers on idle connections: a firewall that forgot them answers nothing. */
const keepAliveProbeMs = 30_000;

/**
 * Connects, over IPv6 or IPv4, to an address that the guard admits. It is asked for every address before the attempt,
 * and again for the one that the connection has in the end.
 *
 * @throws AddressRefusedError before any packet is sent, when the guard admits none
 */
export async function openSocket(
  target: SocketTarget,
  { lookup, watch, at }: SocketOpener,
  signal: AbortSignal,
): Promise<net.Socket> {
  signal.throwIfAborted();
  const host = withoutBrackets(target.hostname);
  at('name');
  const addresses = await admittedAddresses(target, host, lookup, signal);
  at('connection');
  signal.throwIfAborted();

  const options: net.TcpNetConnectOpts & { readonly highWaterMark: number } = {
    host,
    port: target.port,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: nextAddressMs,
    highWaterMark: readAheadBytes,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveProbeMs,
    noDelay: true,
    // Only what has been checked is connected to: a second look-up could answer otherwise.
    lookup: (_name, options, answer) => {
      const [first] = addresses;
      if (options.all === true) answer(null, [...addresses]);
      else answer(null, first?.address ?? '', first?.family);
    },
  };
  const socket = net.connect(options);
  watch(socket);
  await connected(socket, signal);
  const address = socket.remoteAddress ?? '';
  const zone = zoneOfAddress(address);
  if (!target.guard.admits(zone, address)) {
    socket.destroy();
    throw new AddressRefusedError(host, zone);
  }
  return socket;
}

async function admittedAddresses(
  target: SocketTarget,
  host: string,
  lookup: NameLookup,
  signal: AbortSignal,
): Promise<readonly Address[]> {
  const zone = zoneOfHost(target.hostname);
  if (zone !== null && !target.guard.admits(zone, null)) throw new AddressRefusedError(host, zone);
  const family = net.isIP(host);
  if (family !== 0) return [{ address: host, family }];

  const found = await lookup(host, signal);
  const admitted = found.filter(({ address }) => target.guard.admits(zoneOfAddress(address), address));
  const [refused] = found;
  if (admitted.length === 0 && refused !== undefined) {
    throw new AddressRefusedError(host, zoneOfAddress(refused.address));
  }
  return admitted;
}

/** Resolves when a socket is connected; destroys it, and rejects with the signal's own reason, on abort. */
function connected(socket: net.Socket, signal: AbortSignal): Promise<void> {
  return settledBy(socket, 'connect', signal);
}

/**
 * Resolves with the first `event` of a socket, rejects with its error. On abort the socket is destroyed, and the
 * signal's own reason rejects at once.
 */
export function settledBy(socket: net.Socket, event: 'connect' | 'secureConnect', signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const forget = (): void => {
      socket.off(event, done);
      socket.off('error', failed);
      socket.off('close', closed);
      signal.removeEventListener('abort', aborted);
    };
    const done = (): void => {
      forget();
      resolve();
    };
    const failed = (error: Error): void => {
      forget();
      reject(error);
    };
    const closed = (): void =>
      failed(Object.assign(new Error('the connection was closed before it was ready'), { code: 'ECONNRESET' }));
    const aborted = (): void => {
      forget();
      socket.destroy();
      reject(signal.reason);
    };
    socket.once(event, done);
    socket.once('error', failed);
    socket.once('close', closed);
    signal.addEventListener('abort', aborted, { once: true });
    if (signal.aborted) aborted();
  });
}
