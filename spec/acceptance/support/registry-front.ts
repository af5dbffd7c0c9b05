import net from 'node:net';
import { TLSSocket } from 'node:tls';
import { startRawServer, type TestServer } from '../../support/servers.js';
import type { TestCertificate } from '../../support/tls.js';

/** Where a registry is to be met. */
export interface FrontPlace {
  /** The address it is on; default `127.0.0.1`. */
  readonly host?: string;
  /** Speaks TLS with it. */
  readonly tls?: TestCertificate;
}

/** Puts a registry of loopback on another address, or behind TLS. */
export function startFront(registry: { readonly host: string }, place: FrontPlace): Promise<TestServer> {
  const { port } = new URL(`http://${registry.host}`);
  return startRawServer(
    (socket) => {
      const client = place.tls === undefined ? socket : new TLSSocket(socket, { isServer: true, ...place.tls });
      const upstream = net.connect(Number(port), '127.0.0.1');
      client.on('error', () => upstream.destroy());
      upstream.on('error', () => client.destroy());
      // A TLS socket does not always say that the one below it is gone.
      socket.once('close', () => upstream.destroy());
      upstream.once('close', () => socket.destroy());
      client.pipe(upstream).pipe(client);
    },
    place.host === undefined ? {} : { host: place.host },
  );
}
