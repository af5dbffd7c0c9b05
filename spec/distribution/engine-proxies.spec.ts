import { expect } from 'chai';
import { createRegistryClient } from '../../lib/distribution/client.js';
import { throughEngineProxies } from '../../lib/distribution/engine-proxies.js';
import type { ProxyEnvironment } from '../../lib/distribution/proxies.js';
import { createTransport, type Transport } from '../../lib/distribution/transport.js';
import { failureOf } from '../support/failure-of.js';
import { startFullPort, startServer, type TestServer } from '../support/servers.js';
import { bytesOf, digestOfBytes, readAll, registryAt } from './rig.js';
import { startProxy } from './test-proxy.js';

describe("an engine's proxies", () => {
  const blob = bytesOf(50_000);
  const digest = digestOfBytes(blob);
  let transport: Transport;
  let registry: TestServer;
  const servers: { close(): Promise<void> }[] = [];
  const started = async <T extends { close(): Promise<void> }>(starting: Promise<T>): Promise<T> => {
    const server = await starting;
    servers.push(server);
    return server;
  };
  beforeEach(async () => {
    registry = await started(startServer((_request, response) => response.end(blob)));
    transport = createTransport({ resolve: async () => [{ address: '127.0.0.1', family: 4 }] });
  });
  afterEach(async () => {
    await transport.close();
    expect(transport.openSockets).to.equal(0);
    await Promise.all(servers.splice(0).map((server) => server.close()));
  });

  async function fetchThrough(proxied: Transport, signal = new AbortController().signal): Promise<Buffer> {
    const client = createRegistryClient(registryAt(`registry.example:${registry.port}`, { plainHttp: true }), proxied);
    const context = { pullId: 'pull-1', requestMs: 5_000, signal };
    const request = { ...context, repository: 'app', digest, size: blob.length, from: 0, firstByteMs: 5_000 };
    return readAll((await client.openBlob(request)).body);
  }
  const through = (environment: ProxyEnvironment): Transport => throughEngineProxies(transport, environment);

  it('are gone through', async () => {
    const proxy = await started(startProxy(() => registry.port));
    const proxied = through({ HTTP_PROXY: proxy.url });
    expect((await fetchThrough(proxied)).equals(blob)).to.equal(true);
    expect((await fetchThrough(proxied)).equals(blob)).to.equal(true);
    expect(proxy.targets).to.have.length(2);
    expect(proxied.openSockets).to.equal(transport.openSockets);
    // Whether it is there was asked once, on a connection of its own.
    expect(proxy.accepted).to.equal(2);
  });

  it('are not, where the engine itself would not, and for whoever has another engine', async () => {
    const proxy = await started(startProxy(() => registry.port));
    expect((await fetchThrough(through({ HTTP_PROXY: proxy.url, NO_PROXY: '.example' }))).equals(blob)).to.equal(true);
    expect((await fetchThrough(through({ HTTPS_PROXY: proxy.url }))).equals(blob)).to.equal(true);
    await fetchThrough(through({ HTTP_PROXY: proxy.url }));
    expect((await fetchThrough(transport)).equals(blob)).to.equal(true);
    expect(proxy.targets).to.have.length(1);
  });

  it('are gone without where this process does not reach them', async () => {
    const gone = await startServer(() => undefined);
    await gone.close();
    const full = await started(startFullPort());
    for (const url of [gone.url, `http://127.0.0.1:${full.port}`, 'http://no-such-host.invalid:3128', 'socks5://x:1']) {
      expect((await fetchThrough(through({ HTTP_PROXY: url }))).equals(blob), url).to.equal(true);
    }
  }).timeout(30_000);

  it('let go of whoever aborts before they answer', async () => {
    const full = await started(startFullPort());
    const ending = new AbortController();
    const asked = failureOf(fetchThrough(through({ HTTP_PROXY: `http://127.0.0.1:${full.port}` }), ending.signal));
    setImmediate(() => ending.abort('enough'));
    expect(await asked).to.equal('enough');
  });
});
