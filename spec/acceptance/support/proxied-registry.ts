import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { RegistryOptions } from '../../../lib/index.js';
import {
  type Fault,
  type FaultProxyOptions,
  type LoggedRequest,
  pushImage,
  type TestImage,
} from '../../../lib/testing/index.js';
import { type DockerRegistryOptions, registryUser, startDockerRegistry } from '../../support/docker-registry.js';

/** What a proxy's process is asked for; `faults` are put in force first. */
export interface ProxyOrder {
  readonly id: number;
  readonly faults?: readonly Fault[];
}

export interface ProxyReply {
  readonly id: number;
  readonly host: string;
  readonly requests: readonly LoggedRequest[];
  readonly bytesSent: number;
}

/** What was asked of a registry since its faults were set last. */
export interface Traffic {
  readonly requests: readonly LoggedRequest[];
  /** Body bytes sent for manifests and blobs. */
  readonly bytes: number;
}

/** Everything that specs keep their images under. */
export const team = 'team';

/** A real registry, and the fault proxy through which pulls reach it. */
export interface ProxiedRegistry {
  /** Of the proxy. */
  readonly host: string;
  /** As registries are listed, with what it takes to be let in. */
  readonly option: RegistryOptions;
  /** The registry itself, without the proxy. */
  readonly directHost: string;
  /** Stores an image as `team/NAME`, past the proxy. */
  push(name: string, image: TestImage): Promise<void>;
  /** Puts faults in force, and begins to count anew. */
  setFaults(faults: readonly Fault[]): Promise<void>;
  traffic(): Promise<Traffic>;
  close(): Promise<void>;
}

export interface ProxiedRegistryOptions extends Pick<FaultProxyOptions, 'bandwidth' | 'redirects'> {
  readonly auth?: DockerRegistryOptions['auth'] & string;
}

export async function startProxiedRegistry(options: ProxiedRegistryOptions = {}): Promise<ProxiedRegistry> {
  const { auth = 'none', ...proxyOptions } = options;
  const registry = await startDockerRegistry({ auth });
  const child = fork(
    fileURLToPath(new URL('./proxy-process.ts', import.meta.url)),
    [registry.url, JSON.stringify(proxyOptions)],
    { execArgv: ['--import', 'tsx'] },
  );
  const replies = new Map<number, (reply: ProxyReply) => void>();
  const exited = once(child, 'exit');
  child.on('message', (reply: ProxyReply) => replies.get(reply.id)?.(reply));
  const ended = exited.then(() => Promise.reject(new Error('the process of the fault proxy has ended')));
  ended.catch(() => {});
  const reply = (id: number): Promise<ProxyReply> =>
    Promise.race([new Promise<ProxyReply>((resolve) => replies.set(id, resolve)), ended]);
  let orders = 0;
  const tell = (order: Omit<ProxyOrder, 'id'>): Promise<ProxyReply> => {
    orders += 1;
    const answered = reply(orders);
    child.send({ id: orders, ...order });
    return answered;
  };
  const { host } = await reply(0);
  let before: Traffic = { requests: [], bytes: 0 };

  return {
    host,
    option: {
      prefix: `${host}/${team}`,
      ...(auth === 'htpasswd' ? { credentials: { username: registryUser.name, password: registryUser.password } } : {}),
    },
    directHost: registry.host,
    push: (name, image) =>
      pushImage(registry.url, `${team}/${name}`, image, auth === 'htpasswd' ? { authorization: basicHeader } : {}),
    setFaults: async (faults) => {
      const { requests, bytesSent } = await tell({ faults });
      before = { requests, bytes: bytesSent };
    },
    traffic: async () => {
      const { requests, bytesSent } = await tell({});
      return { requests: requests.slice(before.requests.length), bytes: bytesSent - before.bytes };
    },
    close: async () => {
      if (child.connected) child.disconnect();
      await exited;
      await registry.close();
    },
  };
}

/** What the one user of a registry with passwords sends. */
export const basicHeader: string = `Basic ${Buffer.from(`${registryUser.name}:${registryUser.password}`).toString('base64')}`;
