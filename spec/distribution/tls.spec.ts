import tls from 'node:tls';
import { expect } from 'chai';
import { requireReal } from '../support/real-parts.js';
import { startRawServer, startServer, type TestServer } from '../support/servers.js';
import { createAuthority, type TestAuthority } from '../support/tls.js';
import { bytesOf, closeRigs, digestOfBytes, evidenceOf, openRig, readAll, type Rig, type RigOptions } from './rig.js';

describe('TLS', () => {
  requireReal('openssl', 'apt-get install openssl');
  let authority: TestAuthority;
  let stranger: TestAuthority;
  const servers: TestServer[] = [];
  const started = async (starting: Promise<TestServer>): Promise<TestServer> => {
    const server = await starting;
    servers.push(server);
    return server;
  };
  before(() => {
    authority = createAuthority();
    stranger = createAuthority('somebody else');
  });
  afterEach(async () => {
    expect(await closeRigs()).to.equal(0);
    await Promise.all(servers.splice(0).map((server) => server.close()));
  });

  const blob = bytesOf(100_000);
  const digest = digestOfBytes(blob);
  const sendBlob: Parameters<typeof startServer>[0] = (_request, response) => {
    response.setHeader('content-length', blob.length);
    response.end(blob);
  };
  function fetchBlob({ client, context }: Rig): Promise<Buffer> {
    return client
      .openBlob({ ...context, repository: 'app', digest, size: blob.length, from: 0, firstByteMs: 5_000 })
      .then(({ body }) => readAll(body));
  }
  const rigFor = (server: TestServer, registry: RigOptions['registry'] = {}, more: RigOptions = {}): Rig =>
    openRig(server.authority, { ...more, registry: { plainHttp: false, ...registry } });

  it("trusts a registry's own authority beside the usual ones, by address and by name", async () => {
    const server = await started(startServer(sendBlob, { tls: authority.issue(['127.0.0.1', 'localhost']) }));
    expect((await fetchBlob(rigFor(server, { ca: authority.ca }))).equals(blob)).to.equal(true);
    const named = openRig(`localhost:${server.port}`, { registry: { plainHttp: false, ca: authority.ca } });
    expect((await fetchBlob(named)).equals(blob)).to.equal(true);
  });

  it('over IPv6 checks the address as well', async () => {
    const right = await started(startServer(sendBlob, { host: '::1', tls: authority.issue(['::1']) }));
    expect((await fetchBlob(rigFor(right, { ca: authority.ca }))).equals(blob)).to.equal(true);
    const wrong = await started(startServer(sendBlob, { host: '::1', tls: authority.issue(['localhost']) }));
    expect(await evidenceOf(fetchBlob(rigFor(wrong, { ca: authority.ca })))).to.deep.equal({
      kind: 'tls',
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
  });

  it("tells a name to the server, and never an address or a name's final dot", async () => {
    const { cert, key } = authority.issue(['127.0.0.1', 'registry.example']);
    const seen: unknown[] = [];
    const server = await started(
      startRawServer((socket) => {
        const secure = new tls.TLSSocket(socket, {
          isServer: true,
          cert,
          key,
          SNICallback: (name, done) => {
            seen.push(name);
            done(null);
          },
        });
        secure.on('error', () => undefined);
        secure.once('data', () => secure.end(`HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`));
      }),
    );
    const resolve = async (): Promise<{ address: string; family: number }[]> => [{ address: '127.0.0.1', family: 4 }];
    for (const host of ['127.0.0.1', 'registry.example']) {
      const { client, context } = openRig(`${host}:${server.port}`, {
        registry: { plainHttp: false, ca: authority.ca },
        transport: { resolve },
      });
      await client.openBlob({ ...context, repository: 'app', digest, size: 0, from: 0, firstByteMs: 5_000 });
    }
    expect(seen).to.deep.equal(['registry.example']);
  });

  const refused: readonly [string, (issue: TestAuthority) => ReturnType<TestAuthority['issue']>, string][] = [
    ['whose authority nobody knows', () => stranger.issue(['127.0.0.1']), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['that has expired', (ours) => ours.issue(['127.0.0.1'], { expired: true }), 'CERT_HAS_EXPIRED'],
    ['of another host', (ours) => ours.issue(['10.0.0.1', 'registry.example']), 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ];
  for (const [title, issue, code] of refused) {
    it(`refuses a certificate ${title}`, async () => {
      const server = await started(startServer(sendBlob, { tls: issue(authority) }));
      expect(await evidenceOf(fetchBlob(rigFor(server, { ca: authority.ca })))).to.deep.equal({ kind: 'tls', code });
      expect(server.seen).to.have.length(0);
    });
  }

  it('refuses a private authority that the registry was not given', async () => {
    const server = await started(startServer(sendBlob, { tls: authority.issue(['127.0.0.1']) }));
    expect(await evidenceOf(fetchBlob(rigFor(server)))).to.include({ kind: 'tls' });
  });

  it('says so when the peer speaks plain HTTP', async () => {
    const server = await started(startServer(sendBlob));
    const evidence = await evidenceOf(fetchBlob(rigFor(server)));
    expect(evidence).to.include({ kind: 'tls' });
    expect('code' in evidence ? evidence.code : '').to.match(/WRONG_VERSION_NUMBER|EPROTO|PACKET_LENGTH/);
  });

  it('is a lost connection when the peer closes it during the handshake', async () => {
    const server = await started(startRawServer((socket) => socket.once('data', () => socket.destroy())));
    expect(await evidenceOf(fetchBlob(rigFor(server)))).to.include({ kind: 'connection', code: 'reset' });
  });

  it('shows our certificate to the registry alone, and trusts its authority for its storage', async () => {
    const tlsOfRegistry = {
      ...authority.issue(['127.0.0.1']),
      ca: authority.ca,
      requestCert: true,
      // Since 1.3 a client learns of it only after its request, where a reset may come first.
      maxVersion: 'TLSv1.2',
    } as const;
    const seenByStorage: boolean[] = [];
    const storageCertificate = authority.issue(['127.0.0.1']);
    const storage = await started(
      startRawServer((socket) => {
        const secure = new tls.TLSSocket(socket, {
          isServer: true,
          ...storageCertificate,
          ca: authority.ca,
          requestCert: true,
          rejectUnauthorized: false,
        });
        secure.on('error', () => undefined);
        secure.once('data', () => {
          seenByStorage.push(Object.keys(secure.getPeerCertificate()).length > 0);
          secure.write(`HTTP/1.1 200 OK\r\ncontent-length: ${blob.length}\r\n\r\n`);
          secure.write(blob);
        });
      }),
    );
    const server = await started(
      startServer(
        (_request, response) => {
          response.statusCode = 307;
          response.setHeader('location', `https://${storage.authority}/x`);
          response.end();
        },
        { tls: tlsOfRegistry },
      ),
    );
    const ours = authority.issue(['client']);
    expect((await fetchBlob(rigFor(server, { ca: authority.ca, ...ours }))).equals(blob)).to.equal(true);
    expect(seenByStorage).to.deep.equal([false]);
    expect(await evidenceOf(fetchBlob(rigFor(server, { ca: authority.ca })))).to.deep.include({ kind: 'tls' });
  });
});
