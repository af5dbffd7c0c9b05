import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The socket of a daemon, of which every byte that is sent to it is written down. */
export interface HeardSocket {
  readonly path: string;
  readonly text: string;
  /** The last request of each connection that is open: `POST /images/create?fromImage=…`. */
  readonly open: readonly string[];
  close(): Promise<void>;
}

/** Another socket, through which a daemon is spoken to and heard. */
export async function listenIn(socketPath: string): Promise<HeardSocket> {
  const directory = await mkdtemp(join(tmpdir(), 'pull-failover-heard-'));
  const path = join(directory, 'docker.sock');
  const sockets = new Set<net.Socket>();
  const lastRequests = new Map<net.Socket, string>();
  let text = '';
  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    const upstream = net.connect({ path: socketPath, allowHalfOpen: true });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    }
    client.on('data', (chunk: Buffer) => {
      const said = chunk.toString('latin1');
      text += said;
      const asked = [...said.matchAll(/^([A-Z]+ \S+) HTTP\/1\.1\r$/gm)].at(-1)?.[1];
      if (asked !== undefined) lastRequests.set(client, asked);
    });
    client.on('error', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
    // A client that goes away has to be missed.
    client.once('close', () => {
      lastRequests.delete(client);
      upstream.destroy();
    });
    upstream.once('close', () => client.destroy());
    client.pipe(upstream).pipe(client);
  });
  server.listen(path);
  await once(server, 'listening');
  return {
    path,
    get text() {
      return text;
    },
    get open() {
      return [...lastRequests.values()];
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true });
    },
  };
}
