import { expect } from 'chai';
import { Agent } from 'node:http';
import { connect } from 'node:net';
import { connection, layers, type RegistryDouble, seededImage, startRegistryDouble } from '../../lib/testing/index.js';
import { ask, askInVain } from './plain-client.js';
import { until } from '../support/until.js';

describe('faults of connections', () => {
  const image = seededImage({ bytes: 200_000 });
  let registry: RegistryDouble;
  let pingUrl: string;
  const blobUrl = (): string => `${registry.url}/v2/aptible/redis/blobs/${image.layers[0]?.digest ?? ''}`;

  beforeEach(async () => {
    registry = await startRegistryDouble({ images: { 'aptible/redis:3.0': image }, redirects: true });
    pingUrl = `${registry.url}/v2/`;
  });
  afterEach(async () => {
    await registry.close();
  });

  it('refuse closes the port, and opens the same one again', async () => {
    expect((await ask(pingUrl)).status).to.equal(200);
    await registry.setFaults([connection.refuse()]);
    expect(await askInVain(pingUrl)).to.equal('ECONNREFUSED');
    await registry.setFaults([]);
    expect((await ask(pingUrl)).status).to.equal(200);
  });

  it('refuse can last a while, and end by itself', async () => {
    await registry.setFaults([connection.refuse({ between: [0, 150] })]);
    expect(await askInVain(pingUrl)).to.equal('ECONNREFUSED');
    let answered = '';
    for (let tries = 0; tries < 300 && answered !== 'answered 200'; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      answered = await askInVain(pingUrl);
    }
    expect(answered).to.equal('answered 200');
  });

  it('refuse of the storage leaves the registry alone', async () => {
    const { headers } = await ask(blobUrl());
    await registry.setFaults([connection.refuse({ at: 'storage' })]);
    expect((await ask(pingUrl)).status).to.equal(200);
    expect(await askInVain(headers.location ?? '')).to.equal('ECONNREFUSED');
  });

  it('refuse in force from the start still gives a port', async () => {
    const refusing = await startRegistryDouble({ faults: [connection.refuse()] });
    expect(await askInVain(`${refusing.url}/v2/`)).to.equal('ECONNREFUSED');
    await refusing.close();
  });

  it('reset ends a connection before anything is answered, as often as it says', async () => {
    await registry.setFaults([connection.reset({ times: 2 })]);
    const ends = [await askInVain(pingUrl), await askInVain(pingUrl), await askInVain(pingUrl)];
    expect(ends).to.deep.equal(['ECONNRESET', 'ECONNRESET', 'answered 200']);
    expect(registry.requests).to.have.length(1);
  });

  it('blackhole accepts and is silent, and notices that the client leaves', async () => {
    await registry.setFaults([connection.blackhole()]);
    const leave = new AbortController();
    const asked = askInVain(pingUrl, { signal: leave.signal });
    await until(() => registry.openConnections === 1);
    expect(registry.requests).to.have.length(0);
    leave.abort();
    expect(await asked).to.equal('ABORT_ERR');
    await until(() => registry.openConnections === 0);
    expect(registry.openConnections).to.equal(0);
  });

  it('close the kept-alive connections that idle, and leave those at work', async () => {
    const agent = new Agent({ keepAlive: true });
    await ask(pingUrl, { agent });
    expect(registry.openConnections).to.equal(1);
    await registry.setFaults([connection.refuse()]);
    await until(() => registry.openConnections === 0);
    expect(registry.openConnections).to.equal(0);
    agent.destroy();
  });

  it('resetConnections ends what is being sent', async () => {
    const plain = await startRegistryDouble({
      images: { 'aptible/redis:3.0': image },
      faults: [layers.stall({ afterBytes: 10 })],
    });
    try {
      const asked = ask(`${plain.url}/v2/aptible/redis/blobs/${image.layers[0]?.digest ?? ''}`);
      await until(() => plain.requests[0]?.bytesSent === 10);
      plain.resetConnections();
      expect((await asked).end).to.equal('ECONNRESET');
      await until(() => plain.openConnections === 0);
      expect(plain.openConnections).to.equal(0);
    } finally {
      await plain.close();
    }
  });

  it('a client that speaks no HTTP is answered 400 at once', async () => {
    const socket = connect(Number(registry.host.split(':')[1]), '127.0.0.1');
    socket.write(Buffer.of(0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0));
    const [chunk] = (await new Promise((resolve) => socket.once('data', (...args) => resolve(args)))) as [Buffer];
    expect(chunk.toString('latin1')).to.match(/^HTTP\/1\.1 400 /);
    socket.destroy();
  });

  it('a client that asks again before its last answer is known to be out is answered too', async () => {
    const socket = connect(Number(registry.host.split(':')[1]), '127.0.0.1');
    let heard = '';
    socket.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1')));
    const ask = 'GET /v2/ HTTP/1.1\r\nHost: ' + registry.host + '\r\nAccept: */*\r\n\r\n';
    socket.write(ask + ask + ask);
    await until(() => heard.split('HTTP/1.1 200').length === 4, 'three answers');
    socket.destroy();
  });

  it('nothing is left when it closes while ports change', async () => {
    const one = await startRegistryDouble();
    const changes = [one.setFaults([connection.refuse()]), one.setFaults([]), one.close()];
    await Promise.all(changes);
    expect(await askInVain(`${one.url}/v2/`)).to.equal('ECONNREFUSED');
    expect(one.openConnections).to.equal(0);
  });
});
