import type { RegistryOptions } from '../../../lib/index.js';
import { type Fault, type FaultProxyOptions, pushImage, type TestImage } from '../../../lib/testing/index.js';
import { type DockerRegistryOptions, registryUser, startDockerRegistry } from '../../support/docker-registry.js';
import { startFaultProxies, type Traffic } from './fault-proxies.js';

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
  /** Since the faults were set last. */
  traffic(): Promise<Traffic>;
  close(): Promise<void>;
}

export interface ProxiedRegistryOptions extends Pick<FaultProxyOptions, 'bandwidth' | 'redirects'> {
  readonly auth?: DockerRegistryOptions['auth'] & string;
  /** Whom it lets in, where it does not let in everybody; default the name of `registryUser`. */
  readonly userName?: string;
}

export async function startProxiedRegistry(options: ProxiedRegistryOptions = {}): Promise<ProxiedRegistry> {
  const { auth = 'none', userName: username = registryUser.name, ...proxyOptions } = options;
  const registry = await startDockerRegistry({ auth, userName: username });
  const proxies = await startFaultProxies(registry.url, [proxyOptions]);
  const host = proxies.hosts[0] ?? '';
  const { password } = registryUser;
  let before: Traffic = { requests: [], bytes: 0 };

  return {
    host,
    option: {
      prefix: `${host}/${team}`,
      ...(auth === 'htpasswd' ? { credentials: { username, password } } : {}),
    },
    directHost: registry.host,
    push: (name, image) =>
      pushImage(
        registry.url,
        `${team}/${name}`,
        image,
        auth === 'htpasswd' ? { authorization: headerOf(username) } : {},
      ),
    setFaults: async (faults) => {
      before = await proxies.tell(0, faults);
    },
    traffic: async () => {
      const { requests, bytes } = await proxies.tell(0);
      return { requests: requests.slice(before.requests.length), bytes: bytes - before.bytes };
    },
    close: async () => {
      await proxies.close();
      await registry.close();
    },
  };
}

/** What the usual user of a registry with passwords sends. */
export const basicHeader: string = headerOf(registryUser.name);

function headerOf(userName: string): string {
  return `Basic ${Buffer.from(`${userName}:${registryUser.password}`).toString('base64')}`;
}
