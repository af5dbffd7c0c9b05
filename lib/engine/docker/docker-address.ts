import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isObject } from '../../image/json-object.js';
import type { DockerLike } from './docker-like.js';

/** What docker-modem 5 finds its socket with where none was given. */
const socketFinder = 'findDefaultUnixSocket';

const anonymous = new WeakMap<object, string>();
let anonymousCount = 0;

/**
 * Where the daemon behind a dockerode is, without credentials; the same for two that lead to one place. One that does
 * not tell gets an address of its own.
 */
export function addressOf({ modem }: DockerLike): string {
  const settings: unknown = modem;
  const { host, port, protocol, socketPath } = isObject(settings) ? settings : {};
  if (typeof host === 'string' && host !== '') return networkAddress(host, port, protocol);
  if (typeof socketPath === 'string' && socketPath !== '') return socketAddress(socketPath);
  if (typeof socketPath === 'function' && socketPath.name === socketFinder) return socketAddress(defaultSocket());
  const known = anonymous.get(modem) ?? `docker-modem://${(anonymousCount += 1)}`;
  anonymous.set(modem, known);
  return known;
}

function networkAddress(host: string, port: unknown, protocol: unknown): string {
  const scheme = protocol === 'ssh' || host.startsWith('ssh://') ? 'ssh' : 'tcp';
  const text = host.includes('://') ? host : `${scheme}://${host}`;
  // Never as it was given: what cannot be parsed may hold a password anywhere.
  const { hostname, port: ownPort } = URL.canParse(text) ? new URL(text) : { hostname: 'unknown', port: '' };
  const shownPort = typeof port === 'number' || (typeof port === 'string' && port !== '') ? String(port) : ownPort;
  return `${scheme}://${hostname}${/^\d+$/.test(shownPort) ? `:${shownPort}` : ''}`;
}

function socketAddress(path: string): string {
  return /^[\\/]{2}[.?][\\/]/.test(path) ? `npipe://${path.replaceAll('\\', '/')}` : `unix://${path}`;
}

/** As docker-modem 5 does: that of Docker Desktop where it is there. */
function defaultSocket(): string {
  try {
    const own = join(homedir(), '.docker', 'run', 'docker.sock');
    if (existsSync(own)) return own;
  } catch {
    // No home, no socket in it.
  }
  return '/var/run/docker.sock';
}
