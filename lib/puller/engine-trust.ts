import type { ProxyEnvironment } from '../distribution/proxies.js';
import { dockerParts } from '../engine/docker/docker-engine.js';
import type { EngineTraits } from '../engine/docker/engine-traits.js';
import { createLog } from '../log/log.js';
import { isInsecure } from '../registries/engine-trust.js';
import type { Place } from '../registries/replica-set.js';
import type { PullEngine } from './pull-engine.js';

const log = createLog('engine');

/** How an engine would reach the registries of one plan, where that is not how this process would. */
export interface EngineTrust {
  /** The prefixes of those it takes without a valid certificate, or without TLS. */
  readonly insecure: readonly string[];
  /** The proxies it uses, as an environment would name them; null for none. */
  readonly proxies: ProxyEnvironment | null;
}

const noTrust: EngineTrust = Object.freeze({ insecure: Object.freeze([]), proxies: null });

/** What is known of it now: nothing before the engine was asked what it is, and nothing at all of a layout. */
export function trustOf(engine: PullEngine, places: readonly Place[]): EngineTrust {
  const traits = engine.kind === 'docker' ? dockerParts(engine).daemon.knownTraits : null;
  if (traits === null) return noTrust;
  const insecure = places.filter(({ registry }) => isInsecure(registry, traits)).map(({ registry }) => registry.prefix);
  return { insecure, proxies: proxiesOf(engine, traits) };
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
