import { expect } from 'chai';
import type { RegistryClient } from '../../lib/distribution/client.js';
import { createTransport, type Transport } from '../../lib/distribution/transport.js';
import { Clients } from '../../lib/puller/clients.js';
import type { EngineTrust } from '../../lib/puller/engine-trust.js';
import { anonymous } from '../../lib/registries/credential-source.js';
import type { RegistryOptions } from '../../lib/registries/registry.js';
import { evidenceOf, registryAt } from '../distribution/rig.js';
import { startProxy, type TestProxy } from '../distribution/test-proxy.js';
import { requireReal } from '../support/real-parts.js';
import { startServer, type TestServer } from '../support/servers.js';
import { createAuthority } from '../support/tls.js';

describe('the clients of a puller', () => {
  requireReal('openssl', 'apt-get install openssl');
  const manifest = '{}';
  let transport: Transport;
  let server: TestServer;
  let proxy: TestProxy;
  let authority: ReturnType<typeof createAuthority>;
  let proxies: EngineTrust['proxies'];

  before(() => {
    authority = createAuthority();
  });
  beforeEach(async () => {
    transport = createTransport({ resolve: async () => [{ address: '127.0.0.1', family: 4 }] });
    const tls = authority.issue(['registry.example']);
    server = await startServer((_request, response) => response.end(manifest), { tls });
    proxy = await startProxy(() => server.port);
    proxies = { HTTPS_PROXY: proxy.url };
  });
  afterEach(async () => {
    await transport.close();
    expect(transport.openSockets).to.equal(0);
    await Promise.all([server.close(), proxy.close()]);
  });

  const noTrust: EngineTrust = { insecure: [], proxies: null };
  function clientsOf(followsEngineProxies = true): Clients {
    return new Clients({ transport, followsEngineProxies, onCredentialsRejected: () => () => undefined });
  }
  function clientFor(clients: Clients, trust: EngineTrust, options: Omit<RegistryOptions, 'prefix'>): RegistryClient {
    const registry = registryAt(`registry.example:${server.port}`, options);
    return clients.of({ registry, repository: 'app', credentials: registry.credentials }, trust);
  }
  async function ask(client: RegistryClient): Promise<void> {
    const { signal } = new AbortController();
    const request = { pullId: 'pull-1', requestMs: 4_000, signal, repository: 'app', reference: 'latest' };
    expect(Buffer.from((await client.getManifest(request)).bytes).toString('utf8')).to.equal(manifest);
  }

  it('are one for each registry and way to it, unless a pull brings credentials', () => {
    const clients = clientsOf();
    const registry = registryAt('registry.example');
    const insecureIn = (networks: readonly string[] | null): EngineTrust => ({
      ...noTrust,
      insecure: [{ registry: registry.prefix, networks }],
    });
    const own = { registry, repository: 'app', credentials: registry.credentials };
    const ways = [noTrust, { ...noTrust, proxies }, ...[null, ['10.0.0.0/8'], ['fd00::/8']].map(insecureIn)];
    const insecureOther = { registry: 'other.example', networks: null };
    const first = ways.map((trust) => clients.of(own, trust));
    expect(new Set(first).size).to.equal(ways.length);
    expect(ways.map((trust) => clients.of(own, { ...trust }))).to.deep.equal(first);
    expect(clients.of(own, { ...noTrust, insecure: [insecureOther] })).to.equal(first[0]);
    const given = { ...own, credentials: { get: anonymous.get } };
    expect(clients.of(given, noTrust)).to.not.equal(clients.of(given, noTrust));
  });

  it("go through an engine's proxies where this process names none, and only for that engine", async () => {
    const options = { ca: authority.ca };
    await ask(clientFor(clientsOf(), noTrust, options));
    await ask(clientFor(clientsOf(false), { ...noTrust, proxies }, options));
    expect(proxy.targets).to.have.length(0);
    await ask(clientFor(clientsOf(), { ...noTrust, proxies }, options));
    expect(proxy.targets).to.have.length(1);
  });

  it('reach a registry that is insecure for where it is nowhere else', async () => {
    const insecure = [{ registry: `registry.example:${server.port}`, networks: ['10.0.0.0/8'] }];
    const before = server.accepted;
    expect(await evidenceOf(ask(clientFor(clientsOf(), { insecure, proxies }, {})))).to.include({ kind: 'redirect' });
    expect([server.accepted - before, proxy.accepted]).to.deep.equal([0, 0]);
  });

  it('take no certificate of anybody through a proxy that an engine has named', async () => {
    const trust = { insecure: [{ registry: `registry.example:${server.port}`, networks: null }], proxies };
    await ask(clientFor(clientsOf(), trust, {}));
    expect(proxy.accepted).to.equal(0);
  });
});
