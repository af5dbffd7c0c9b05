import http from 'node:http';
import tls from 'node:tls';
import { expect } from 'chai';
import { createRegistryClient, type RegistryClient } from '../../lib/distribution/client.js';
import { createInsecureClient } from '../../lib/distribution/insecure-client.js';
import { createSchemeMemory } from '../../lib/distribution/scheme-memory.js';
import { createTransport, type Transport } from '../../lib/distribution/transport.js';
import { fixedCredentials } from '../../lib/registries/credential-source.js';
import { failureOf } from '../support/failure-of.js';
import { requireReal } from '../support/real-parts.js';
import { startRawServer, startServer, type Answer, type TestServer } from '../support/servers.js';
import { createAuthority, type TestAuthority } from '../support/tls.js';
import { bytesOf, digestOfBytes, evidenceOf, readAll, registryAt } from './rig.js';

/** It speaks TLS by default, as one that is not on loopback does. */
const asElsewhere = { plainHttp: false };

describe('a registry that is insecure to an engine', () => {
  requireReal('openssl', 'apt-get install openssl');
  let stranger: TestAuthority;
  let transport: Transport;
  const servers: TestServer[] = [];
  const started = async (starting: Promise<TestServer>): Promise<TestServer> => {
    const server = await starting;
    servers.push(server);
    return server;
  };
  const context = { pullId: 'pull-1', requestMs: 4_000, signal: new AbortController().signal };
  before(() => {
    stranger = createAuthority('nobody knows it');
  });
  beforeEach(() => {
    transport = createTransport();
  });
  afterEach(async () => {
    await transport.close();
    expect(transport.openSockets).to.equal(0);
    await Promise.all(servers.splice(0).map((server) => server.close()));
  });

  const blob = bytesOf(50_000);
  const digest = digestOfBytes(blob);
  const sendBlob: Answer = ({ url }, response) => {
    response.statusCode = url === '/v2/' ? 401 : 200;
    response.end(url === '/v2/' ? '' : blob);
  };
  function clientOf(server: TestServer, schemes = createSchemeMemory()): RegistryClient {
    return createInsecureClient(registryAt(server.authority, asElsewhere), transport, schemes);
  }
  async function fetchBlob(client: RegistryClient): Promise<Buffer> {
    const request = { ...context, repository: 'app', digest, size: blob.length, from: 0, firstByteMs: 4_000 };
    return readAll((await client.openBlob(request)).body);
  }

  it('may have a certificate of anybody, for anybody, that has expired', async () => {
    for (const certificate of [stranger.issue(['127.0.0.1']), stranger.issue(['other.example'], { expired: true })]) {
      const server = await started(startServer(sendBlob, { tls: certificate }));
      expect((await fetchBlob(clientOf(server))).equals(blob)).to.equal(true);
    }
  });

  it('may do without TLS, which is asked for first', async () => {
    const server = await started(startServer(sendBlob));
    expect((await fetchBlob(clientOf(server))).equals(blob)).to.equal(true);
    expect(server.accepted).to.equal(2);
    const closing = await started(
      startRawServer((socket) =>
        socket.once('data', (chunk) => {
          if (chunk[0] === 0x16) socket.destroy();
          else
            socket.end(
              `HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: ${blob.length}\r\n\r\n${blob.toString('latin1')}`,
              'latin1',
            );
        }),
      ),
    );
    expect((await fetchBlob(clientOf(closing))).equals(blob)).to.equal(true);
  });

  it('is asked once which of the two it speaks, whoever wants to know, and whatever credentials they bring', async () => {
    const server = await started(startServer(sendBlob));
    const schemes = createSchemeMemory();
    const clients = [clientOf(server, schemes), clientOf(server, schemes)];
    await Promise.all(clients.map(fetchBlob));
    await Promise.all(clients.map(fetchBlob));
    expect(server.seen.filter(({ url }) => url === '/v2/')).to.have.length(1);
  });

  it('is asked again after it has changed', async () => {
    const certificate = stranger.issue(['127.0.0.1']);
    let isSecure = false;
    const inner = http.createServer((_request, response) => {
      response.setHeader('connection', 'close');
      response.end(blob);
    });
    const server = await started(
      startRawServer((socket) => {
        const carrier = isSecure ? new tls.TLSSocket(socket, { isServer: true, ...certificate }) : socket;
        carrier.on('error', () => undefined);
        inner.emit('connection', carrier);
      }),
    );
    const client = clientOf(server);
    await fetchBlob(client);
    for (const change of [true, false]) {
      isSecure = change;
      await failureOf(fetchBlob(client));
      expect((await fetchBlob(client)).equals(blob)).to.equal(true);
    }
  });

  it('fails as one that is not insecure would where nothing answers, or never does', async () => {
    const gone = await startServer(sendBlob);
    await gone.close();
    expect(await evidenceOf(fetchBlob(clientOf(gone)))).to.include({ kind: 'connection', code: 'refused' });
    const silent = await started(startRawServer((socket) => socket.resume()));
    const client = clientOf(silent);
    const manifest = { ...context, requestMs: 100, repository: 'app', reference: 'latest' };
    expect(await evidenceOf(client.getManifest(manifest))).to.include({ kind: 'limit', limit: 'metadata.requestMs' });
  });

  it('is shown the credentials, as by the engine, and only after it asks for them', async () => {
    const server = await started(
      startServer(
        ({ headers }, response) => {
          if (headers.authorization === undefined) {
            response.statusCode = 401;
            response.setHeader('www-authenticate', 'Basic realm="x"');
          }
          response.end(headers.authorization === undefined ? '' : blob);
        },
        { tls: stranger.issue(['127.0.0.1']) },
      ),
    );
    const client = createInsecureClient(registryAt(server.authority, asElsewhere), transport, createSchemeMemory(), {
      credentials: fixedCredentials({ username: 'me', password: 'hunter22' }),
    });
    expect((await fetchBlob(client)).equals(blob)).to.equal(true);
    const basic = `Basic ${Buffer.from('me:hunter22').toString('base64')}`;
    expect(server.seen.map(({ headers }) => headers.authorization)).to.deep.equal([undefined, undefined, basic]);
  });

  it('leads to storage that may be insecure as well', async () => {
    const storage = await started(startServer(sendBlob, { tls: stranger.issue(['storage.example']) }));
    const server = await started(
      startServer(
        (_request, response) => {
          response.statusCode = 307;
          response.setHeader('location', `${storage.url}/blob`);
          response.end();
        },
        { tls: stranger.issue(['127.0.0.1']) },
      ),
    );
    expect((await fetchBlob(clientOf(server))).equals(blob)).to.equal(true);
  });

  it('shares no connection with the same registry taken seriously', async () => {
    const server = await started(startServer(sendBlob, { tls: stranger.issue(['127.0.0.1']) }));
    await fetchBlob(clientOf(server));
    const strict = createRegistryClient(registryAt(server.authority, asElsewhere), transport);
    expect(await evidenceOf(fetchBlob(strict))).to.include({ kind: 'tls' });
  });

  it('lets go of whoever aborts while it is asked', async () => {
    const silent = await started(startRawServer((socket) => socket.resume()));
    const ending = new AbortController();
    const asked = clientOf(silent).getManifest({
      ...context,
      signal: ending.signal,
      repository: 'app',
      reference: 'latest',
    });
    const failure = failureOf(asked);
    ending.abort('enough');
    expect(await failure).to.equal('enough');
  });
});
