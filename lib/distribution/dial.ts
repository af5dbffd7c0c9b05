import type net from 'node:net';
import { anyAddress, type AddressGuard } from './address-guard.js';
import { peerAt, type Peer } from './address-zone.js';
import type { ConnectStage } from './connect-progress.js';
import type { NameLookup } from './name-lookup.js';
import { openSocket, type SocketWatch } from './open-socket.js';
import { defaultPort, type Proxy } from './proxies.js';
import { secureSocket } from './secure-socket.js';
import { usualIdentity, type TlsIdentity } from './tls-identity.js';
import { openTunnel, TunnelError } from './tunnel.js';

/** What a socket was being made ready for when it failed. */
export type DialStage = 'proxy' | 'connect' | 'tls';

/** A socket could not be made ready. An error alone does not tell a proxy's refusal from a registry's. */
export class DialError extends Error {
  override readonly name = 'DialError';
  readonly stage: DialStage;

  constructor(stage: DialStage, cause: unknown) {
    super('no connection', { cause });
    this.stage = stage;
  }
}

/** Where a socket is to lead. */
export interface DialTarget {
  readonly url: URL;
  /** Null for a direct connection. */
  readonly proxy: Proxy | null;
  readonly tls: TlsIdentity;
  readonly guard: AddressGuard;
}

/** What dialling needs from its transport. */
export interface Dialler {
  readonly lookup: NameLookup;
  readonly watch: SocketWatch;
  /** Told what is waited for; null when somebody is there at the other end. */
  readonly at: (stage: ConnectStage | null) => void;
}

/** A socket over which the target's HTTP can be spoken. */
export interface Dialled {
  readonly socket: net.Socket;
  /** Where it leads; null when a proxy hides it. */
  readonly peer: Peer | null;
}

/**
 * Opens a socket to the target: directly, through a tunnel of its proxy for https, or to the proxy itself, which then
 * forwards, for plain http.
 *
 * @throws DialError, also for an abort
 */
export async function dial(target: DialTarget, dialler: Dialler, signal: AbortSignal): Promise<Dialled> {
  const { url, proxy, guard } = target;
  const secure = url.protocol === 'https:';
  const port = url.port === '' ? defaultPort(url) : url.port;
  const direct = { hostname: url.hostname, port: Number(port), guard };
  const socket = await (proxy === null
    ? during('connect', openSocket(direct, dialler, signal))
    : during('proxy', openProxySocket(proxy, secure ? `${url.hostname}:${port}` : null, dialler, signal)));
  dialler.at(null);
  const peer = proxy === null ? peerAt(socket.remoteAddress ?? '') : null;
  if (!secure) return { socket, peer };
  return { socket: await during('tls', secureSocket(socket, url.hostname, target.tls, dialler.watch, signal)), peer };
}

/** @param tunnelTo `host:port`; null to speak with the proxy itself */
async function openProxySocket(
  proxy: Proxy,
  tunnelTo: string | null,
  dialler: Dialler,
  signal: AbortSignal,
): Promise<net.Socket> {
  if (proxy.url === null) throw new TunnelError(null);
  const { hostname, protocol, origin } = proxy.url;
  const port = proxy.url.port === '' ? defaultPort(proxy.url) : proxy.url.port;
  // The operator has named it: it may be anywhere.
  const target = { hostname, port: Number(port), guard: anyAddress };
  const { lookup, watch } = dialler;
  dialler.at('proxy');
  const plain = await openSocket(target, { lookup, watch, at: () => undefined }, signal);
  const socket = protocol === 'https:' ? await secureSocket(plain, hostname, usualIdentity(), watch, signal) : plain;
  // It has taken the connection: from here on it may itself be waiting for the host.
  dialler.at('connection');
  return tunnelTo === null
    ? socket
    : openTunnel(socket, origin, { authority: tunnelTo, authorization: proxy.authorization }, signal);
}

async function during<T>(stage: DialStage, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new DialError(stage, error);
  }
}
