import { expect } from 'chai';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type FaultProxy,
  type FaultProxyOptions,
  layers,
  type RegistryDouble,
  type RegistryDoubleOptions,
  pushImage,
  seededImage,
  startFaultProxy,
  startRegistryDouble,
  token,
} from '../../lib/testing/index.js';
import { ask, askInVain } from './plain-client.js';
import { until } from '../support/until.js';

describe('fault proxy', () => {
  const image = seededImage({ bytes: 300_000 });
  const layer = image.layers[0] as (typeof image.layers)[number];
  const blobPath = `/v2/aptible/redis/blobs/${layer.digest}`;
  const running: { close(): Promise<void> }[] = [];

  async function start(
    options: FaultProxyOptions = {},
    behind: RegistryDoubleOptions = {},
  ): Promise<{ registry: RegistryDouble; proxy: FaultProxy }> {
    const registry = await startRegistryDouble({ images: { 'aptible/redis:3.0': image }, ...behind });
    const proxy = await startFaultProxy(registry.url, options);
    running.unshift(proxy, registry);
    return { registry, proxy };
  }
  afterEach(async () => {
    for (const server of running.splice(0)) await server.close();
  });

  it('passes requests on as a client of the registry would send them', async () => {
    const { registry, proxy } = await start();
    for (const path of ['/v2/', blobPath]) expect((await ask(`${proxy.url}${path}`)).status).to.equal(200);
    expect(registry.violations).to.deep.equal([]);
    expect(proxy.requests.map(({ kind, bytesSent, outcome }) => [kind, bytesSent, outcome])).to.deep.equal([
      ['ping', 3, 'complete'],
      ['blob', 300_000, 'complete'],
    ]);
    expect(proxy.bytesSent).to.equal(300_000);
    expect(proxy.upstream).to.equal(registry.url);
  });

  it('asks the registry nothing for a request that a fault answers', async () => {
    const { registry, proxy } = await start({ faults: [layers.status(503), layers.noHeaders({ times: 1 })] });
    expect((await ask(`${proxy.url}${blobPath}`)).status).to.equal(503);
    expect(registry.requests).to.deep.equal([]);
  });

  it('leads token requests through itself, so that they can fail too', async () => {
    const { registry, proxy } = await start({}, { auth: { kind: 'bearer' } });
    const { headers } = await ask(`${proxy.url}/v2/`);
    const realm = /realm="([^"]+)"/.exec(headers['www-authenticate'] ?? '')?.[1] ?? '';
    expect(new URL(realm).origin).to.equal(proxy.url);
    const tokenUrl = `${realm}?service=${registry.host}&scope=repository:aptible/redis:pull`;
    const { status, body } = await ask(tokenUrl);
    expect(status).to.equal(200);
    const { token: text } = JSON.parse(body.toString('utf8')) as { token: string };
    expect((await ask(`${proxy.url}${blobPath}`, { headers: { authorization: `Bearer ${text}` } })).status).to.equal(
      200,
    );
    await proxy.setFaults([token.status(500)]);
    expect((await ask(tokenUrl)).status).to.equal(500);
    expect(proxy.requests.filter(({ kind }) => kind === 'token')).to.have.length(2);
  });

  it('learns from challenges where tokens are issued', async () => {
    const server = await startServer((path, own) =>
      path === '/v2/' ? [401, { 'www-authenticate': `Bearer realm="${own}/service/token",service="s"` }] : [200, {}],
    );
    const proxy = await startFaultProxy(server.url, { faults: [token.status(500)] });
    running.unshift(proxy);
    expect((await ask(`${proxy.url}/service/token`)).status).to.equal(200);
    await ask(`${proxy.url}/v2/`);
    expect((await ask(`${proxy.url}/service/token`)).status).to.equal(500);
  });

  it('leads redirects of the registry to itself through itself, and leaves others alone', async () => {
    const server = await startServer((path, own) => [
      307,
      { location: path === '/v2/' ? `${own}/else` : 'http://127.0.0.1:1/x' },
    ]);
    const proxy = await startFaultProxy(server.url);
    running.unshift(proxy);
    expect((await ask(`${proxy.url}/v2/`)).headers.location).to.equal(`${proxy.url}/else`);
    expect((await ask(`${proxy.url}/x`)).headers.location).to.equal('http://127.0.0.1:1/x');
  });

  it('shows a registry that cannot be reached as a connection that is reset', async () => {
    const { registry, proxy } = await start();
    await registry.close();
    expect(await askInVain(`${proxy.url}/v2/`)).to.equal('ECONNRESET');
    expect(proxy.requests.at(-1)).to.include({ status: null, outcome: 'cut-by-fault' });
  });

  it('passes a truncated answer of the registry on as one', async () => {
    const { proxy } = await start({}, { faults: [layers.truncate({ afterBytes: 1_000 })] });
    const { status, body, end } = await ask(`${proxy.url}${blobPath}`);
    expect([status, body.length, end]).to.deep.equal([200, 1_000, 'ECONNRESET']);
  });

  it('leaves the registry when its own client leaves, also in the middle of a stall', async () => {
    const { registry, proxy } = await start({}, { faults: [layers.stall({ afterBytes: 1_000 })] });
    const { end } = await ask(`${proxy.url}${blobPath}`, { leaveAfterBytes: 1_000 });
    expect(end).to.equal('left');
    await until(() => registry.openConnections === 0);
    expect(registry.openConnections).to.equal(0);
    await until(() => proxy.requests[0]?.outcome !== 'open');
    expect(proxy.requests[0]?.outcome).to.equal('cut-by-client');
  });

  it('leaves the registry when its own client leaves before any answer', async () => {
    const { registry, proxy } = await start({}, { faults: [layers.noHeaders()] });
    const leave = new AbortController();
    const asked = askInVain(`${proxy.url}${blobPath}`, { signal: leave.signal });
    await until(() => registry.requests.length === 1);
    leave.abort();
    expect(await asked).to.equal('ABORT_ERR');
    await until(() => registry.openConnections === 0);
    expect(registry.openConnections).to.equal(0);
  });

  it('asks for the next blob on the connection that it kept alive', async () => {
    const { registry, proxy } = await start();
    for (let times = 0; times < 3; times += 1) await ask(`${proxy.url}${blobPath}`);
    await ask(`${proxy.url}${blobPath}`, { method: 'HEAD' });
    await ask(`${proxy.url}/v2/`);
    expect(registry.connections).to.equal(1);
  });

  it('passes the words of a registry that refuses a push on', async () => {
    const { proxy } = await start();
    const error = await pushImage(proxy.url, 'aptible/other:1', image).catch((reason: unknown) => reason);
    expect(error)
      .to.be.an('error')
      .with.property('message')
      .that.matches(/begin the upload of sha256:\w+: expected 202, got 405/);
  });

  it('closes whatever is open on both sides', async () => {
    const { registry, proxy } = await start({ faults: [layers.stall({ afterBytes: 10 })] });
    const asked = ask(`${proxy.url}${blobPath}`);
    await until(() => proxy.requests[0]?.bytesSent === 10);
    await proxy.close();
    expect((await asked).end).to.equal('ECONNRESET');
    await until(() => registry.openConnections === 0);
    expect([proxy.openConnections, registry.openConnections]).to.deep.equal([0, 0]);
  });

  for (const upstream of ['quay.io', 'ftp://127.0.0.1/', 'http://127.0.0.1:1/v2/', 'http://a:b@127.0.0.1:1', '']) {
    it(`refuses ${JSON.stringify(upstream)} as the origin of a registry`, async () => {
      const error = await startFaultProxy(upstream).then(
        (proxy) => running.unshift(proxy),
        (reason: unknown) => reason,
      );
      expect(error).to.have.property('option', 'upstream');
    });
  }

  it('refuses options that it does not know', async () => {
    const options = { images: {} } as FaultProxyOptions;
    const error = await startFaultProxy('http://127.0.0.1:1', options).then(
      (proxy) => running.unshift(proxy),
      (reason: unknown) => reason,
    );
    expect(error).to.have.property('option', 'images');
  });

  async function startServer(
    answer: (path: string, own: string) => readonly [number, Readonly<Record<string, string>>],
  ): Promise<{ readonly url: string }> {
    const server: Server = createServer((request, response) => {
      const [status, headers] = answer(request.url ?? '', url);
      response.writeHead(status, headers).end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    running.push({
      close: async () => {
        server.close();
        server.closeAllConnections();
        await once(server, 'close');
      },
    });
    return { url };
  }
});
