import type { KeptAddresses } from '../distribution/kept-addresses.js';
import type { ProxyEnvironment } from '../distribution/proxies.js';
import { dockerParts } from '../engine/docker/docker-engine.js';
import type { EngineTraits } from '../engine/docker/engine-traits.js';
import { createLog } from '../log/log.js';
import { leadsInto } from '../registries/address-range.js';
import { insecureNetworks, isInsecure } from '../registries/engine-trust.js';
import type { Registry } from '../registries/registry.js';
import type { Place } from '../registries/replica-set.js';
import type { PullEngine } from './pull-engine.js';

const log = createLog('engine');

/** A registry that an engine takes without a valid certificate, or without TLS. */
export interface InsecureRegistry {
  /** Its prefix. */
  readonly registry: string;
  /** It is one only at addresses in these networks (CIDR), where its name led when it was looked up; null: wherever it is. */
  readonly networks: readonly string[] | null;
}

/** How an engine would reach the registries of one plan, where that is not how this process would. */
export interface EngineTrust {
  readonly insecure: readonly InsecureRegistry[];
  /** The proxies it uses, as an environment would name them; null for none. */
  readonly proxies: ProxyEnvironment | null;
}

const noTrust: EngineTrust = Object.freeze({ insecure: Object.freeze([]), proxies: null });

/**
 * What is known of it now: nothing before the engine was asked what it is, and nothing at all of a layout. Names are looked
 * up only where the engine has networks of insecure registries beside its loopback.
 *
 * @throws the signal's own reason
 */
export async function findTrust(
  engine: PullEngine,
  places: readonly Place[],
  addresses: KeptAddresses,
  signal: AbortSignal,
): Promise<EngineTrust> {
  const traits = engine.kind === 'docker' ? dockerParts(engine).daemon.knownTraits : null;
  if (traits === null) return noTrust;
  const found = await Promise.all(places.map(({ registry }) => insecurityOf(registry, traits, addresses, signal)));
  return { insecure: found.filter((each) => each !== null), proxies: proxiesOf(engine, traits) };
}

async function insecurityOf(
  registry: Registry,
  traits: EngineTraits,
  addresses: KeptAddresses,
  signal: AbortSignal,
): Promise<InsecureRegistry | null> {
  if (isInsecure(registry, traits)) return { registry: registry.prefix, networks: null };
  const networks = insecureNetworks(registry, traits);
  if (networks.length === 0) return null;
  const found = await addresses.of(new URL(registry.baseUrl), signal);
  return found.some((address) => leadsInto(address, networks)) ? { registry: registry.prefix, networks } : null;
}

/** Engines whose proxies were told already to be of no use. */
const told = new WeakSet<PullEngine>();

function proxiesOf(engine: PullEngine, traits: EngineTraits): ProxyEnvironment | null {
  const { httpProxy, httpsProxy, noProxy, proxiesWithLogin } = traits;
  if (proxiesWithLogin.length > 0 && !told.has(engine)) {
    told.add(engine);
    log(null, 'the login that proxies of the engine want is not known here: they are gone without', {
      engine: engine.id,
      proxies: proxiesWithLogin.join(','),
    });
  }
  const usable = {
    HTTP_PROXY: proxiesWithLogin.includes('http') ? undefined : (httpProxy ?? undefined),
    HTTPS_PROXY: proxiesWithLogin.includes('https') ? undefined : (httpsProxy ?? undefined),
  };
  if (usable.HTTP_PROXY === undefined && usable.HTTPS_PROXY === undefined) return null;
  return { ...usable, NO_PROXY: noProxy ?? undefined };
}
