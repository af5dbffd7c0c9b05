import { expect } from 'chai';
import {
  layers,
  type RegistryDouble,
  type RegistryDoubleOptions,
  seededImage,
  startFaultProxy,
  startRegistryDouble,
} from '../../lib/testing/index.js';
import { type FakeTime, startFakeTime } from '../support/fake-time.js';
import { ask, type PlainAnswer } from './plain-client.js';

describe('redirects of a registry double', () => {
  const image = seededImage({ bytes: 50_000 });
  const layer = image.layers[0] as (typeof image.layers)[number];
  const content = Buffer.concat([...layer.read()]);
  const running: { close(): Promise<void> }[] = [];

  async function start(options: RegistryDoubleOptions = {}): Promise<RegistryDouble> {
    const registry = await startRegistryDouble({ images: { 'aptible/redis:3.0': image }, redirects: true, ...options });
    running.push(registry);
    return registry;
  }
  const blobPath = `/v2/aptible/redis/blobs/${layer.digest}`;
  const locationOf = ({ headers }: PlainAnswer): string => headers.location ?? '';

  afterEach(async () => {
    await Promise.all(running.splice(0).map((server) => server.close()));
  });

  it('lead to a signed URL at another origin, which serves ranges', async () => {
    const registry = await start();
    const redirect = await ask(`${registry.url}${blobPath}`, { headers: { range: 'bytes=10-' } });
    expect(redirect.status).to.equal(307);
    expect(new URL(locationOf(redirect)).origin)
      .to.equal(registry.storageUrl)
      .and.not.equal(registry.url);
    const { status, headers, body } = await ask(locationOf(redirect), { headers: { range: 'bytes=10-' } });
    expect([status, headers['content-range']]).to.deep.equal([206, 'bytes 10-49999/50000']);
    expect(body.equals(content.subarray(10))).to.equal(true);
    expect(registry.requests.map(({ kind, object, bytesSent }) => [kind, object, bytesSent])).to.deep.equal([
      ['blob', layer.digest, 0],
      ['storage', layer.digest, 49_990],
    ]);
    expect(registry.bytesSent).to.equal(49_990);
  });

  it('are for GET alone: HEAD is answered by the registry', async () => {
    const registry = await start();
    const { status, headers } = await ask(`${registry.url}${blobPath}`, { method: 'HEAD' });
    expect([status, headers['content-length'], headers.location]).to.deep.equal([200, '50000', undefined]);
  });

  it('never lead to a blob that is not there', async () => {
    const registry = await start();
    const location = locationOf(await ask(`${registry.url}${blobPath}`));
    registry.removeDigest(layer.digest);
    expect((await ask(`${registry.url}${blobPath}`)).status).to.equal(404);
    expect((await ask(location)).status).to.equal(404);
  });

  it('have the status asked for', async () => {
    const registry = await start({ redirects: { status: 302 } });
    expect((await ask(`${registry.url}${blobPath}`)).status).to.equal(302);
  });

  it('refuse a credential beside the signature, in the words of S3', async () => {
    const registry = await start();
    const location = locationOf(await ask(`${registry.url}${blobPath}`));
    const { status, body } = await ask(location, { headers: { authorization: 'Basic eDp5' } });
    expect(status).to.equal(400);
    expect(body.toString('utf8')).to.contain('Only one auth mechanism allowed');
    expect(registry.violations.map(({ rule }) => rule)).to.deep.equal(['authorization']);
  });

  it('refuse another method, path or signature than was signed', async () => {
    const registry = await start();
    const location = locationOf(await ask(`${registry.url}${blobPath}`));
    const attempts = [
      await ask(location, { method: 'HEAD' }),
      await ask(location.replace('/data?', '/other?')),
      await ask(`${location}0`),
      await ask(location.split('?')[0] ?? ''),
    ];
    expect(attempts.map(({ status }) => status)).to.deep.equal([403, 403, 403, 403]);
    expect(registry.violations.map(({ rule }) => rule)).to.deep.equal(Array(4).fill('signature'));
  });

  it('are struck by faults at the storage, and at the registry only when they say so', async () => {
    const registry = await start({ faults: [layers.status(503)] });
    const redirect = await ask(`${registry.url}${blobPath}`);
    expect(redirect.status).to.equal(307);
    const { status, headers } = await ask(locationOf(redirect));
    expect([status, headers['content-type']]).to.deep.equal([503, 'application/xml']);
    await registry.setFaults([layers.status(503, { at: 'registry' })]);
    expect((await ask(`${registry.url}${blobPath}`)).status).to.equal(503);
    expect((await ask(locationOf(redirect))).status).to.equal(200);
  });

  it('come from a fault proxy too, which asks the registry first whether the client may', async () => {
    const registry = await start({ redirects: false, auth: { kind: 'basic', users: { op: 'secret' } } });
    const proxy = await startFaultProxy(registry.url, { redirects: true });
    running.unshift(proxy);
    expect((await ask(`${proxy.url}${blobPath}`)).status).to.equal(401);
    const authorization = `Basic ${Buffer.from('op:secret').toString('base64')}`;
    const redirect = await ask(`${proxy.url}${blobPath}`, { headers: { authorization } });
    expect(redirect.status).to.equal(307);
    const { status, body } = await ask(locationOf(redirect), { headers: { range: 'bytes=49990-' } });
    expect([status, body.equals(content.subarray(49_990))]).to.deep.equal([206, true]);
    expect(registry.violations).to.deep.equal([]);
  });

  it('come from a fault proxy before a registry that lets everybody in', async () => {
    const registry = await start({ redirects: false });
    const proxy = await startFaultProxy(registry.url, { redirects: true });
    running.unshift(proxy);
    const { status, body } = await ask(locationOf(await ask(`${proxy.url}${blobPath}`)));
    expect([status, body.equals(content)]).to.deep.equal([200, true]);
    expect(registry.violations).to.deep.equal([]);
  });

  describe('in time', () => {
    let time: FakeTime;
    beforeEach(() => {
      time = startFakeTime();
    });
    afterEach(() => {
      time.restore();
    });

    it('expire', async () => {
      const registry = await start({ redirects: { expiresMs: 60_000 } });
      const location = locationOf(await ask(`${registry.url}${blobPath}`));
      await time.passMs(59_999);
      expect((await ask(location)).status).to.equal(200);
      await time.passMs(1);
      const { status, body } = await ask(location);
      expect(status).to.equal(403);
      expect(body.toString('utf8')).to.contain('Request has expired');
      expect(registry.violations).to.deep.equal([]);
      expect((await ask(locationOf(await ask(`${registry.url}${blobPath}`)))).status).to.equal(200);
    });
  });
});
