import { expect } from 'chai';
import {
  createRegistryClient,
  type RegistryClient,
  type RegistryClientOptions,
} from '../../lib/distribution/client.js';
import { createTransport, type Transport, type TransportOptions } from '../../lib/distribution/transport.js';
import { ExchangeError } from '../../lib/distribution/wire-error.js';
import { digestOf } from '../../lib/image/digest.js';
import { anonymous } from '../../lib/registries/credential-source.js';
import { parseRegistry, type Registry, type RegistryOptions } from '../../lib/registries/registry.js';
import type { Digest } from '../../lib/vocabulary/digest.js';
import type { Evidence } from '../../lib/vocabulary/evidence.js';
import { failureOf } from '../support/failure-of.js';

/** A Docker configuration that knows no credentials at all. */
const noDockerConfig = { credentials: () => anonymous };

export function registryAt(prefix: string, options: Omit<RegistryOptions, 'prefix'> = {}): Registry {
  return parseRegistry({ prefix, ...options }, 'registries[0]', { dockerConfig: noDockerConfig });
}

/** One client with a transport of its own, and everything a request needs. */
export interface Rig {
  readonly client: RegistryClient;
  readonly transport: Transport;
  readonly context: { readonly signal: AbortSignal; readonly pullId: string; readonly requestMs: number };
  readonly abort: (reason: unknown) => void;
}

export interface RigOptions {
  readonly registry?: Omit<RegistryOptions, 'prefix'>;
  readonly client?: RegistryClientOptions;
  readonly transport?: TransportOptions;
}

const transports: Transport[] = [];

export function openRig(prefix: string, options: RigOptions = {}): Rig {
  const transport = createTransport(options.transport);
  transports.push(transport);
  const client = createRegistryClient(registryAt(prefix, options.registry), transport, options.client);
  const ending = new AbortController();
  return {
    client,
    transport,
    context: { signal: ending.signal, pullId: 'pull-1', requestMs: 10_000 },
    abort: (reason) => ending.abort(reason),
  };
}

/** Closes every transport opened since the last call; tells how many sockets are left. */
export async function closeRigs(): Promise<number> {
  const closing = transports.splice(0);
  await Promise.all(closing.map((transport) => transport.close()));
  return closing.reduce((sum, transport) => sum + transport.openSockets, 0);
}

/**
 * For one `describe`: waits for a server to start, and closes it after the test, once every transport is closed and has left
 * no socket.
 */
export function useServers(): <T extends { close(): Promise<void> }>(starting: Promise<T>) => Promise<T> {
  const servers: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    expect(await closeRigs()).to.equal(0);
    await Promise.all(servers.splice(0).map((server) => server.close()));
  });
  return async (starting) => {
    const server = await starting;
    servers.push(server);
    return server;
  };
}

/** Bytes that are the same in every run, and differ at every offset. */
export function bytesOf(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += 1) bytes[at] = (at * 31 + (at >> 8) * 7) & 0xff;
  return bytes;
}

export function digestOfBytes(bytes: Uint8Array): Digest {
  return digestOf(bytes);
}

/** Reads a body to its end. */
export async function readAll(body: { read(): Promise<Uint8Array | null> }): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for (let chunk = await body.read(); chunk !== null; chunk = await body.read()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The evidence that a promise rejects with. */
export async function evidenceOf(work: Promise<unknown>): Promise<Evidence> {
  const error = await failureOf(work);
  if (!(error instanceof ExchangeError)) throw new Error('expected an ExchangeError', { cause: error });
  return error.evidence;
}

/** Lets the loop turn: for what has only promises on its way. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
