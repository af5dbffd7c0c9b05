import { expect } from 'chai';
import type { KeptAddresses } from '../../lib/distribution/kept-addresses.js';
import { dockerEngine, dockerParts } from '../../lib/engine/docker/docker-engine.js';
import { findTrust, type EngineTrust } from '../../lib/puller/engine-trust.js';
import type { RegistryOptions } from '../../lib/registries/registry.js';
import { registryAt } from '../distribution/rig.js';
import { being, dockerVersion, startScriptedEngine } from '../engine/docker/support/scripted-engine.js';
import { failureOf } from '../support/failure-of.js';

describe('what an engine trusts', () => {
  const { signal } = new AbortController();
  const info = {
    RegistryConfig: {
      InsecureRegistryCIDRs: ['::1/128', '127.0.0.0/8', '10.0.0.0/8', '192.168.0.0/16'],
      IndexConfigs: { 'listed.internal': { Name: 'listed.internal', Secure: false } },
    },
  };
  const networks = ['10.0.0.0/8', '192.168.0.0/16'];
  const namesOf: Readonly<Record<string, readonly string[]>> = {
    'inside.internal': ['203.0.113.7', '10.1.2.3'],
    'listed.internal': ['10.1.2.3'],
    'here.internal': ['127.0.0.1'],
    'quay.io': ['203.0.113.7'],
  };

  interface Asked {
    readonly trust: EngineTrust;
    readonly lookedUp: readonly string[];
  }

  async function trustIn(
    prefixes: readonly string[],
    options: Omit<RegistryOptions, 'prefix'> = {},
    told: unknown = info,
  ): Promise<Asked> {
    await using scripted = await startScriptedEngine(being(dockerVersion, () => undefined, told));
    await using engine = dockerEngine(scripted.docker());
    await dockerParts(engine).daemon.traits({});
    const lookedUp: string[] = [];
    const addresses: KeptAddresses = {
      of: async ({ hostname }) => {
        lookedUp.push(hostname);
        return namesOf[hostname] ?? [];
      },
    };
    const places = prefixes.map((prefix) => ({ registry: registryAt(prefix, options), repository: 'app' }));
    return { trust: await findTrust(engine, places, addresses, signal), lookedUp };
  }

  it('are registries that it lists, and those whose names lead into its networks, there alone', async () => {
    const prefixes = [
      'listed.internal',
      'inside.internal',
      'here.internal',
      'quay.io',
      'gone.internal',
      '10.1.1.1:5000',
    ];
    const { trust, lookedUp } = await trustIn(prefixes);
    expect(trust.insecure).to.deep.equal([
      { registry: 'listed.internal', networks: null },
      { registry: 'inside.internal', networks },
      { registry: '10.1.1.1:5000', networks: null },
    ]);
    expect(lookedUp).to.deep.equal(['inside.internal', 'here.internal', 'quay.io', 'gone.internal']);
  });

  it('is found without looking a name up where no address could change it', async () => {
    const usual = { RegistryConfig: { InsecureRegistryCIDRs: ['::1/128', '127.0.0.0/8'], IndexConfigs: {} } };
    for (const asked of [trustIn(['inside.internal'], {}, usual), trustIn(['inside.internal'], { plainHttp: false })]) {
      const { trust, lookedUp } = await asked;
      expect([trust.insecure, lookedUp]).to.deep.equal([[], []]);
    }
  });

  it('is nothing of an engine that was not asked yet', async () => {
    await using scripted = await startScriptedEngine();
    await using engine = dockerEngine(scripted.docker());
    const places = [{ registry: registryAt('10.1.1.1:5000'), repository: 'app' }];
    const never: KeptAddresses = { of: () => Promise.reject(new Error('nobody asks')) };
    expect(await findTrust(engine, places, never, signal)).to.deep.equal({ insecure: [], proxies: null });
    expect(scripted.seen).to.deep.equal([]);
  });

  it('is not waited for when the pull is ended', async () => {
    await using scripted = await startScriptedEngine(being(dockerVersion, () => undefined, info));
    await using engine = dockerEngine(scripted.docker());
    await dockerParts(engine).daemon.traits({});
    const ending: KeptAddresses = { of: () => Promise.reject('enough') };
    const places = [{ registry: registryAt('inside.internal'), repository: 'app' }];
    expect(await failureOf(findTrust(engine, places, ending, signal))).to.equal('enough');
  });
});
