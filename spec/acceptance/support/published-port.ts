import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RealEngine } from '../../support/real-engine.js';
import { emittedProgram } from './emitted-program.js';

const program = fileURLToPath(new URL('./forwarder-process.ts', import.meta.url));

export interface PublishedPort {
  /** Connections that came through it so far. */
  readonly connections: number;
  close(): Promise<void>;
}

/**
 * What `docker run --publish 127.0.0.1:PORT:TARGET` does: a port on the loopback of a daemon in a network namespace of
 * its own leads to one of ours.
 */
export async function publishPort(
  daemon: Pick<RealEngine, 'processId'>,
  port: number,
  target: number,
): Promise<PublishedPort> {
  const directory = await mkdtemp(join(tmpdir(), 'pull-failover-port-'));
  const path = join(directory, 'socket');
  const sockets = new Set<net.Socket>();
  let connections = 0;
  const server = net.createServer((client) => {
    connections += 1;
    const upstream = net.connect({ port: target, host: '127.0.0.1' });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    }
    client.on('error', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
    client.pipe(upstream).pipe(client);
  });
  server.listen(path);
  await once(server, 'listening');
  const [command, ...parameters] = [
    ...['nsenter', `--net=/proc/${daemon.processId}/ns/net`],
    ...[process.execPath, emittedProgram(program), String(port), path],
  ] as const;
  const child = spawn(command, parameters, { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  await Promise.race([
    once(child.stdout, 'data'),
    exited.then(() => {
      throw new Error('the port could not be published');
    }),
  ]);
  return {
    get connections() {
      return connections;
    },
    close: async () => {
      child.stdin.end();
      await exited;
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true });
    },
  };
}

/** A port of ours that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '0.0.0.0');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
