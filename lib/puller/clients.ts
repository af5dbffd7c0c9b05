import { createRegistryClient, type RegistryClient, type RegistryClientOptions } from '../distribution/client.js';
import { throughEngineProxies } from '../distribution/engine-proxies.js';
import { createInsecureClient } from '../distribution/insecure-client.js';
import { createSchemeMemory } from '../distribution/scheme-memory.js';
import type { Transport } from '../distribution/transport.js';
import { withinNetworks } from '../distribution/within-networks.js';
import { createBoundedMap } from '../policy/bounded-map.js';
import type { PlaceWithCredentials } from '../registries/override-credentials.js';
import type { Registry } from '../registries/registry.js';
import type { EngineTrust, InsecureRegistry } from './engine-trust.js';

/** What the clients of one puller are made with. */
export interface ClientsOptions {
  readonly transport: Transport;
  /** This process names no proxies of its own, so those of an engine hold for what is brought into it. */
  readonly followsEngineProxies: boolean;
  readonly onCredentialsRejected: (registry: Registry) => NonNullable<RegistryClientOptions['onCredentialsRejected']>;
}

/** Tenants may bring daemons of their own. */
const maxProxies = 64;
const maxInsecure = 256;
/** Names of registries can come from tenants. */
const maxProbed = 1_000;

/** The clients of one puller: one per registry and way to it, unless a pull brings credentials of its own. */
export class Clients {
  readonly #options: ClientsOptions;
  readonly #schemes = createSchemeMemory();
  readonly #proxied = createBoundedMap<string, Transport>(maxProxies);
  readonly #within = createBoundedMap<string, Transport>(maxInsecure);
  /** By prefix. */
  readonly #lastOf = createBoundedMap<string, RegistryClient>(maxProbed);
  readonly #clients = new WeakMap<Transport, Record<'secure' | 'insecure', WeakMap<Registry, RegistryClient>>>();

  constructor(options: ClientsOptions) {
    this.#options = options;
  }

  /**
   * The client that a probe asks a registry with: as the last pull did that brought no credentials of its own, or, where
   * none has, as this process would by itself. Null for one that is neither listed nor known.
   *
   * @param listed the registry of that prefix in a replica set, if there is one
   */
  forProbe(prefix: string, listed: Registry | undefined): RegistryClient | null {
    const known = this.#lastOf.get(prefix);
    if (known !== undefined) return known;
    if (listed === undefined || !listed.contact) return null;
    return this.of(
      { registry: listed, repository: '', credentials: listed.credentials },
      { proxies: null, insecure: [] },
    );
  }

  /** The client that asks a registry as the engine would, for which the pull is. */
  of({ registry, credentials }: PlaceWithCredentials, trust: EngineTrust): RegistryClient {
    const insecure = trust.insecure.find((each) => each.registry === registry.prefix) ?? null;
    // Together they would let whoever speaks for an engine name the one who is shown the credentials.
    const transport = insecure === null ? this.#transport(trust) : this.#toInsecure(registry, insecure);
    const isOwn = credentials === registry.credentials;
    const clients = this.#known(transport)[insecure === null ? 'secure' : 'insecure'];
    const known = isOwn ? clients.get(registry) : undefined;
    if (known !== undefined) {
      this.#lastOf.set(registry.prefix, known);
      return known;
    }
    const options = { credentials, onCredentialsRejected: this.#options.onCredentialsRejected(registry) };
    const client =
      insecure === null
        ? createRegistryClient(registry, transport, options)
        : createInsecureClient(registry, transport, this.#schemes, options);
    if (isOwn) {
      clients.set(registry, client);
      this.#lastOf.set(registry.prefix, client);
    }
    return client;
  }

  #transport({ proxies }: EngineTrust): Transport {
    const { transport, followsEngineProxies } = this.#options;
    if (proxies === null || !followsEngineProxies) return transport;
    const key = JSON.stringify(proxies);
    const proxied = this.#proxied.get(key) ?? throughEngineProxies(transport, proxies);
    this.#proxied.set(key, proxied);
    return proxied;
  }

  #toInsecure({ baseUrl }: Registry, { networks }: InsecureRegistry): Transport {
    const { transport } = this.#options;
    if (networks === null) return transport;
    const { hostname } = new URL(baseUrl);
    const key = JSON.stringify([hostname, networks]);
    const within = this.#within.get(key) ?? withinNetworks(transport, hostname, networks);
    this.#within.set(key, within);
    return within;
  }

  #known(transport: Transport): Record<'secure' | 'insecure', WeakMap<Registry, RegistryClient>> {
    const known = this.#clients.get(transport) ?? { secure: new WeakMap(), insecure: new WeakMap() };
    this.#clients.set(transport, known);
    return known;
  }
}
