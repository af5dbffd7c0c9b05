import { expect } from 'chai';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { networkInterfaces } from 'node:os';
import {
  connection,
  type FaultServer,
  layers,
  seededImage,
  type ServerTls,
  startFaultProxy,
  startRegistryDouble,
} from '../../lib/testing/index.js';
import { requireReal } from '../support/real-parts.js';
import { createAuthority, type TestAuthority } from '../support/tls.js';
import { ask } from './plain-client.js';

describe('the network of a registry double', () => {
  const image = seededImage({ bytes: 100_000 });
  const layer = image.layers[0] as (typeof image.layers)[number];
  const images = { 'aptible/redis:3.0': image };
  const blobPath = `/v2/aptible/redis/blobs/${layer.digest}`;
  const running: FaultServer[] = [];
  const keep = <Server extends FaultServer>(server: Server): Server => {
    running.unshift(server);
    return server;
  };
  afterEach(async () => {
    for (const server of running.splice(0)) await server.close();
  });

  describe('under TLS', () => {
    requireReal('openssl', 'apt-get install openssl');
    let authority: TestAuthority;
    let tls: ServerTls;
    before(() => {
      authority = createAuthority();
      tls = authority.issue(['127.0.0.1', 'localhost']);
    });

    interface Got {
      readonly status: number;
      readonly bytes: number;
      readonly end: string;
    }
    async function get(url: string, client: { readonly key?: string; readonly cert?: string } = {}): Promise<Got> {
      const request = httpsRequest(url, { agent: false, ca: authority.ca, ...client });
      request.on('error', () => undefined);
      request.end();
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      let bytes = 0;
      let end = 'complete';
      try {
        for await (const chunk of response as AsyncIterable<Buffer>) bytes += chunk.length;
      } catch (error) {
        end = (error as NodeJS.ErrnoException).code ?? 'unknown';
      }
      return { status: response.statusCode ?? 0, bytes, end };
    }
    const failureOf = (url: string): Promise<string> =>
      get(url).then(
        ({ status }) => `answered ${status}`,
        (error: unknown) => (error as NodeJS.ErrnoException).code ?? 'unknown',
      );

    it('serves blobs, and fails in the middle of them as without', async () => {
      const registry = keep(await startRegistryDouble({ images, tls }));
      expect(registry.url).to.match(/^https:\/\/127\.0\.0\.1:\d+$/);
      expect(await get(`${registry.url}${blobPath}`)).to.deep.equal({ status: 200, bytes: 100_000, end: 'complete' });
      for (const fault of [layers.reset({ afterBytes: 60_000 }), layers.truncate({ afterBytes: 60_000 })]) {
        await registry.setFaults([fault]);
        expect(await get(`${registry.url}${blobPath}`)).to.deep.equal({
          status: 200,
          bytes: 60_000,
          end: 'ECONNRESET',
        });
      }
    });

    it('can refuse and reset connections before any handshake', async () => {
      const registry = keep(await startRegistryDouble({ tls, faults: [connection.reset({ times: 1 })] }));
      expect(await failureOf(`${registry.url}/v2/`)).to.equal('ECONNRESET');
      expect(await failureOf(`${registry.url}/v2/`)).to.equal('answered 200');
      await registry.setFaults([connection.refuse()]);
      expect(await failureOf(`${registry.url}/v2/`)).to.equal('ECONNREFUSED');
    });

    it('can ask clients for a certificate', async () => {
      const registry = keep(await startRegistryDouble({ images, tls: { ...tls, clientCa: authority.ca } }));
      expect(await failureOf(`${registry.url}/v2/`)).not.to.match(/answered/);
      const { status } = await get(`${registry.url}/v2/`, authority.issue(['client']));
      expect(status).to.equal(200);
    });

    it('is seen as anything else by a client that does not trust it', async () => {
      const registry = keep(await startRegistryDouble({ tls: createAuthority('others').issue(['127.0.0.1']) }));
      expect(await failureOf(`${registry.url}/v2/`)).to.match(/CERT|SIGNATURE|ISSUER/);
    });

    it('can be behind a fault proxy, and before one', async () => {
      const registry = keep(await startRegistryDouble({ images, tls }));
      const plain = keep(await startFaultProxy(registry.url, { ca: authority.ca }));
      expect((await ask(`${plain.url}${blobPath}`)).body.length).to.equal(100_000);
      const secure = keep(await startFaultProxy(registry.url, { ca: authority.ca, tls }));
      expect(await get(`${secure.url}${blobPath}`)).to.deep.equal({ status: 200, bytes: 100_000, end: 'complete' });
      expect(registry.violations).to.deep.equal([]);
    });
  });

  describe('over IPv6', () => {
    requireReal('an IPv6 loopback address', 'enable IPv6 on this machine', () =>
      (networkInterfaces()['lo'] ?? []).some(({ address }) => address === '::1'),
    );

    it('has its address in brackets', async () => {
      const registry = keep(await startRegistryDouble({ images, listen: '::1', redirects: true }));
      expect(registry.host).to.match(/^\[::1\]:\d+$/);
      const { status, headers } = await ask(`${registry.url}${blobPath}`);
      expect(status).to.equal(307);
      expect((await ask(headers.location ?? '')).body.length).to.equal(100_000);
      expect(registry.violations).to.deep.equal([]);
    });
  });

  it('can have the port that it had before', async () => {
    const first = await startRegistryDouble({ images });
    await first.close();
    const again = keep(await startRegistryDouble({ images, port: Number(first.host.split(':')[1]) }));
    expect(again.host).to.equal(first.host);
    expect((await ask(`${again.url}${blobPath}`)).status).to.equal(200);
  });

  it('refuses options that it does not know', async () => {
    for (const [option, options] of [
      ['image', { image }],
      ['port', { port: 65_536 }],
      ['redirects.ms', { redirects: { ms: 1 } }],
      ['redirects.expiresMs', { redirects: { expiresMs: 0 } }],
      ['images', { images: { 'Aptible/redis:3.0': image } }],
      ['images', { images: { 'aptible/redis@sha256:0': image } }],
    ] as const) {
      const error = await startRegistryDouble(options as object).then(keep, (reason: unknown) => reason);
      expect(error).to.have.property('option', option);
    }
  });

  for (const place of ['registry double', 'fault proxy'] as const) {
    it(`holds a ${place} back behind a slow reader`, async () => {
      const large = seededImage({ bytes: 100_000_000 });
      const registry = keep(await startRegistryDouble({ images: { 'aptible/large:1': large } }));
      const server = place === 'registry double' ? registry : keep(await startFaultProxy(registry.url));
      const request = httpRequest(`${server.url}/v2/aptible/large/blobs/${large.layers[0]?.digest ?? ''}`, {
        agent: false,
      });
      request.on('error', () => undefined);
      request.end();
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      response.pause();
      // The buffers of the system fill up, then nothing more is sent.
      for (let before = -1, same = 0; same < 5; before = registry.bytesSent) {
        same = registry.bytesSent === before ? same + 1 : 0;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      expect(registry.bytesSent).to.be.lessThan(40_000_000);
      expect(server.requests[0]?.outcome).to.equal('open');
      response.resume();
      let bytes = 0;
      for await (const chunk of response as AsyncIterable<Buffer>) bytes += chunk.length;
      expect(bytes).to.equal(100_000_000);
    });
  }
});
