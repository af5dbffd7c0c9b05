import { expect } from 'chai';
import { createRegistryClient, type RegistryClient } from '../../lib/distribution/client.js';
import { createTransport, type Transport } from '../../lib/distribution/transport.js';
import { withinNetworks } from '../../lib/distribution/within-networks.js';
import { addressElsewhere } from '../support/own-addresses.js';
import { startServer, type TestServer } from '../support/servers.js';
import { evidenceOf, registryAt } from './rig.js';
import { startProxy } from './test-proxy.js';

describe('a transport that reaches a name within some networks alone', () => {
  const host = addressElsewhere();
  before(function () {
    if (host === null) this.skip();
  });
  let server: TestServer;
  /** On the same port, where the name must not lead. */
  let stranger: TestServer;
  let answers: readonly string[];
  const transports: Transport[] = [];
  beforeEach(async () => {
    server = await startServer((_request, response) => response.end('{}'), { host: host ?? '' });
    stranger = await startServer((_request, response) => response.end('{}'));
    answers = [host ?? ''];
  });
  afterEach(async () => {
    for (const transport of transports.splice(0)) await transport.close();
    await Promise.all([server.close(), stranger.close()]);
  });

  function open(env: Readonly<Record<string, string>> = {}): Transport {
    const transport = createTransport({
      env,
      resolve: async () => answers.map((address) => ({ address, family: 4 })),
    });
    transports.push(transport);
    return transport;
  }
  async function ask(transport: Transport, { port }: TestServer = server, name = 'registry.example'): Promise<void> {
    const client: RegistryClient = createRegistryClient(registryAt(`${name}:${port}`, { plainHttp: true }), transport);
    const { signal } = new AbortController();
    await client.getManifest({ pullId: 'pull-1', requestMs: 4_000, signal, repository: 'app', reference: 'latest' });
  }
  const inside = (transport: Transport): Transport => withinNetworks(transport, 'registry.example', [`${host}/32`]);

  it('connects to addresses there, and passes over the others of the name', async () => {
    answers = ['127.0.0.1', host ?? ''];
    await ask(inside(open()));
    expect([server.accepted, stranger.accepted]).to.deep.equal([1, 0]);
  });

  it('connects to no other, when the next look-up says another one', async () => {
    const transport = inside(open());
    await ask(transport);
    answers = ['127.0.0.1'];
    expect(await evidenceOf(ask(transport, stranger))).to.include({ kind: 'redirect', code: 'redirect-private' });
    expect(stranger.accepted).to.equal(0);
  });

  it('uses no connection that others have opened elsewhere', async () => {
    const transport = open();
    answers = ['127.0.0.1'];
    await ask(transport, stranger);
    expect(await evidenceOf(ask(inside(transport), stranger))).to.include({ kind: 'redirect' });
    expect(stranger.seen).to.have.length(1);
  });

  it('asks no proxy for it, which would look it up for itself', async () => {
    const proxy = await startProxy(() => stranger.port);
    try {
      const transport = inside(open({ HTTP_PROXY: proxy.url }));
      await ask(transport);
      expect(proxy.targets).to.have.length(0);
      await ask(transport, stranger, 'other.example');
      expect(proxy.targets).to.have.length(1);
    } finally {
      await proxy.close();
    }
  });
});
