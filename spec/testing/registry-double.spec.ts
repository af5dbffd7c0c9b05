import { expect } from 'chai';
import { createHash } from 'node:crypto';
import {
  layers,
  type RegistryDouble,
  type RegistryDoubleOptions,
  seededImage,
  startRegistryDouble,
  type TestImage,
} from '../../lib/testing/index.js';
import { ask } from './plain-client.js';
import { until } from '../support/until.js';

const repository = 'aptible/redis';

describe('registry double', () => {
  const image: TestImage = seededImage({ layers: 2, bytes: 100_000 });
  const layer = image.layers[0] as TestImage['layers'][number];
  const accept = { accept: image.mediaType };
  const running: RegistryDouble[] = [];

  async function start(options: RegistryDoubleOptions = {}): Promise<RegistryDouble> {
    const registry = await startRegistryDouble({ images: { 'aptible/redis:3.0': image }, ...options });
    running.push(registry);
    return registry;
  }
  const blobUrl = (registry: RegistryDouble, digest: string = layer.digest): string =>
    `${registry.url}/v2/${repository}/blobs/${digest}`;
  const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

  afterEach(async () => {
    await Promise.all(running.splice(0).map((registry) => registry.close()));
  });

  it('counts the bytes it sent for each request, also when a fault cuts the answer', async () => {
    const registry = await start({ faults: [layers.truncate({ afterBytes: 60_000, times: 1 })] });
    const cut = await ask(blobUrl(registry));
    const whole = await ask(blobUrl(registry));
    expect([cut.body.length, cut.end]).to.deep.equal([60_000, 'ECONNRESET']);
    expect([sha256(whole.body), whole.end]).to.deep.equal([layer.digest, 'complete']);
    expect(registry.requests.map(({ bytesSent, outcome }) => [bytesSent, outcome])).to.deep.equal([
      [60_000, 'cut-by-fault'],
      [100_000, 'complete'],
    ]);
    expect(registry.bytesSent).to.equal(160_000);
  });

  it('writes down a client that leaves', async () => {
    const registry = await start({ faults: [layers.stall({ afterBytes: 10_000 })] });
    await ask(blobUrl(registry), { leaveAfterBytes: 10_000 });
    await until(() => registry.requests[0]?.outcome !== 'open');
    expect(registry.requests[0]).to.include({ status: 200, bytesSent: 10_000, outcome: 'cut-by-fault' });
    await until(() => registry.openConnections === 0);
    expect(registry.openConnections).to.equal(0);
  });

  it('loses and gets back images and single digests while it runs', async () => {
    const registry = await start();
    const manifestUrl = `${registry.url}/v2/${repository}/manifests/3.0`;
    registry.removeDigest(layer.digest);
    expect((await ask(blobUrl(registry))).status).to.equal(404);
    expect((await ask(manifestUrl, { headers: accept })).status).to.equal(200);
    registry.removeImage('aptible/redis:3.0');
    expect((await ask(manifestUrl, { headers: accept })).status).to.equal(404);
    registry.putImage('aptible/redis:3.0', image);
    expect((await ask(manifestUrl, { headers: accept })).status).to.equal(200);
    expect((await ask(blobUrl(registry))).status).to.equal(200);
  });

  it('leaves nothing open behind', async () => {
    const registry = await start({ faults: [layers.stall({ afterBytes: 1 })] });
    const stalled = ask(blobUrl(registry)).catch(() => undefined);
    await until(() => registry.requests[0]?.bytesSent === 1);
    await registry.close();
    await stalled;
    expect(registry.openConnections).to.equal(0);
    expect(registry.requests[0]?.outcome).to.equal('cut-by-fault');
  });
});
