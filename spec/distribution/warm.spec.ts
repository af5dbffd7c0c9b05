import { expect } from 'chai';
import { createInsecureClient } from '../../lib/distribution/insecure-client.js';
import { createSchemeMemory } from '../../lib/distribution/scheme-memory.js';
import { requireReal } from '../support/real-parts.js';
import { startFullPort, startServer, type TestServer } from '../support/servers.js';
import { createAuthority } from '../support/tls.js';
import { until } from '../support/until.js';
import { openRig, registryAt, useServers, type Rig } from './rig.js';

describe('a connection that is opened ahead', () => {
  const started = useServers();
  const startRegistry = (...place: [Parameters<typeof startServer>[1]?]): Promise<TestServer> =>
    started(startServer((_request, response) => response.end('{}'), ...place));
  const ask = ({ client, context }: Rig): Promise<unknown> =>
    client.getManifest({ ...context, repository: 'team/app', reference: '1' });

  it('is the one of the next request, and sends none itself', async () => {
    const registry = await startRegistry();
    const rig = openRig(registry.authority);
    await rig.client.warm(rig.context.signal);
    await until(() => registry.accepted === 1, 'it is there');
    expect(registry.seen).to.have.length(0);
    await ask(rig);
    await ask(rig);
    expect([registry.accepted, registry.seen.length]).to.deep.equal([1, 2]);
  });

  it('is opened once, however often it is wanted', async () => {
    const registry = await startRegistry();
    const rig = openRig(registry.authority);
    await Promise.all(Array.from({ length: 5 }, () => rig.client.warm(rig.context.signal)));
    await rig.client.warm(rig.context.signal);
    await ask(rig);
    // One waits from that request.
    await rig.client.warm(rig.context.signal);
    expect(rig.transport.openSockets).to.equal(1);
    expect(registry.accepted).to.equal(1);
  });

  describe('with TLS', () => {
    requireReal('openssl', 'apt-get install openssl');
    it('has been shaken hands on', async () => {
      const authority = createAuthority();
      const registry = await startRegistry({ tls: authority.issue(['127.0.0.1']) });
      const rig = openRig(registry.authority, { registry: { plainHttp: false, ca: authority.ca } });
      await rig.client.warm(rig.context.signal);
      expect(rig.transport.openSockets).to.equal(2);
      await ask(rig);
      expect(registry.accepted).to.equal(1);
    });
    it('is not kept where the peer is somebody else', async () => {
      const registry = await startRegistry({ tls: createAuthority('nobody knows it').issue(['127.0.0.1']) });
      const rig = openRig(registry.authority, { registry: { plainHttp: false } });
      await rig.client.warm(rig.context.signal);
      await until(() => rig.transport.openSockets === 0, 'no socket is left');
    });
    it('is opened as an engine would that takes the registry for insecure', async () => {
      const registry = await startRegistry({ tls: createAuthority('nobody knows it').issue(['127.0.0.1']) });
      const { transport, context } = openRig(registry.authority);
      const client = createInsecureClient(
        registryAt(registry.authority, { plainHttp: false }),
        transport,
        createSchemeMemory(),
      );
      await client.warm(context.signal);
      await client.getManifest({ ...context, repository: 'team/app', reference: '1' });
      expect(registry.accepted).to.equal(1);
    });
  });

  it('is closed when no request comes within some seconds', async () => {
    const registry = await startRegistry();
    const rig = openRig(registry.authority);
    await rig.client.warm(rig.context.signal);
    expect(rig.transport.openSockets).to.equal(1);
    await until(() => rig.transport.openSockets === 0, 'it is closed');
  });

  it('is not used when the peer has closed it', async () => {
    const registry = await startRegistry();
    const rig = openRig(registry.authority);
    await rig.client.warm(rig.context.signal);
    await registry.close();
    await until(() => rig.transport.openSockets === 0, 'it is closed');
  });

  it('harms nobody when it cannot be had', async () => {
    const closed = await startRegistry();
    await closed.close();
    const rig = openRig(closed.authority);
    await rig.client.warm(rig.context.signal);
    rig.abort('enough');
    await rig.client.warm(rig.context.signal);
    const other = openRig(closed.authority);
    await other.transport.close();
    await other.client.warm(other.context.signal);
    await until(() => rig.transport.openSockets + other.transport.openSockets === 0, 'no socket is left');
  });

  it('is given up at an abort, and with its transport', async () => {
    const port = await startFullPort();
    try {
      const rig = openRig(`127.0.0.1:${port.port}`);
      const warming = rig.client.warm(rig.context.signal);
      await until(() => rig.transport.openSockets === 1, 'it is being opened');
      rig.abort('enough');
      await warming;
      const other = openRig(`127.0.0.1:${port.port}`);
      const warmingToo = other.client.warm(other.context.signal);
      await until(() => other.transport.openSockets === 1, 'it is being opened');
      await other.transport.close();
      await warmingToo;
      expect(rig.transport.openSockets + other.transport.openSockets).to.equal(0);
    } finally {
      await port.close();
    }
  });
});
