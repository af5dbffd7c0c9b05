import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { startRawServer, startServer, type TestServer } from '../support/servers.js';
import { requireReal } from '../support/real-parts.js';
import { createAuthority, type TestAuthority, type TestCertificate } from '../support/tls.js';
import { startProxy } from './test-proxy.js';
import { bytesOf, closeRigs, digestOfBytes, evidenceOf, openRig, readAll, type Rig } from './rig.js';
import { failureOf } from '../support/failure-of.js';

describe('behind a proxy', () => {
  requireReal('openssl', 'apt-get install openssl');
  let authority: TestAuthority;
  let certificate: TestCertificate;
  const servers: { close(): Promise<void> }[] = [];
  const started = async <T extends { close(): Promise<void> }>(starting: Promise<T>): Promise<T> => {
    const server = await starting;
    servers.push(server);
    return server;
  };
  before(() => {
    authority = createAuthority();
    certificate = authority.issue(['registry.example', 'storage.example', 'auth.example']);
  });
  afterEach(async () => {
    expect(await closeRigs()).to.equal(0);
    await Promise.all(servers.splice(0).map((server) => server.close()));
  });

  const blob = bytesOf(50_000);
  const digest = digestOfBytes(blob);
  const sendBlob: Parameters<typeof startServer>[0] = (_request, response) => response.end(blob);
  const nothing = async (): Promise<never> => {
    throw Object.assign(new Error('ENOTFOUND'), { code: 'ENOTFOUND' });
  };
  function open({ client, context }: Rig): Promise<Buffer> {
    return client
      .openBlob({ ...context, repository: 'app', digest, size: blob.length, from: 0, firstByteMs: 5_000 })
      .then(({ body }) => readAll(body));
  }
  const throughProxy = (proxy: TestServer, secrets = ''): { env: Record<string, string>; resolve: typeof nothing } => ({
    env: { HTTPS_PROXY: `http://${secrets}${proxy.authority}`, HTTP_PROXY: `http://${secrets}${proxy.authority}` },
    // The proxy does the look-ups; this host may know no outside name at all.
    resolve: nothing,
  });

  it('https goes through a tunnel, with TLS to the registry itself', async () => {
    const server = await started(startServer(sendBlob, { tls: certificate }));
    const proxy = await started(startProxy(() => server.port));
    const rig = openRig('registry.example', {
      registry: { ca: authority.ca },
      transport: throughProxy(proxy, 'me:hunter22@'),
    });
    expect((await open(rig)).equals(blob)).to.equal(true);
    expect(proxy.targets).to.deep.equal(['registry.example:443']);
    expect(proxy.authorizations).to.deep.equal([`Basic ${Buffer.from('me:hunter22').toString('base64')}`]);
    expect(server.seen[0]?.headers).not.to.have.property('proxy-authorization');
    expect((await open(rig)).equals(blob)).to.equal(true);
    expect(proxy.targets).to.have.length(1);
  });

  it('plain http is forwarded, with the proxy credentials for the proxy alone', async () => {
    const server = await started(startServer(sendBlob));
    const proxy = await started(startProxy(() => server.port));
    const rig = openRig('registry.example:5000', {
      registry: { plainHttp: true },
      transport: throughProxy(proxy, 'me:hunter22@'),
    });
    expect((await open(rig)).equals(blob)).to.equal(true);
    expect(proxy.targets).to.deep.equal([`http://registry.example:5000/v2/app/blobs/${digest}`]);
    expect(proxy.authorizations[0]).to.be.a('string');
    expect(server.seen[0]?.headers).to.include({ host: 'registry.example:5000' });
    expect(server.seen[0]?.headers).not.to.have.property('proxy-authorization');
  });

  it('loopback and what NO_PROXY exempts stay direct', async () => {
    const server = await started(startServer(sendBlob));
    const proxy = await started(startProxy(() => server.port));
    const direct = openRig(server.authority, { transport: throughProxy(proxy) });
    expect((await open(direct)).equals(blob)).to.equal(true);
    const exempt = openRig(`registry.example:${server.port}`, {
      registry: { plainHttp: true },
      transport: {
        env: { ...throughProxy(proxy).env, NO_PROXY: '.example' },
        resolve: async () => [{ address: '127.0.0.1', family: 4 }],
      },
    });
    expect((await open(exempt)).equals(blob)).to.equal(true);
    expect(proxy.targets).to.have.length(0);
  });

  for (const status of [403, 407, 502]) {
    it(`a tunnel refused with ${status} is the proxy's doing`, async () => {
      const proxy = await started(startProxy(() => 1, { refuse: status }));
      const rig = openRig('registry.example', { transport: throughProxy(proxy) });
      expect(await evidenceOf(open(rig))).to.deep.equal({ kind: 'proxy', status });
    });
  }
  it('a 407 for plain http is as well', async () => {
    const proxy = await started(startProxy(() => 1, { refuse: 407 }));
    const rig = openRig('registry.example', { registry: { plainHttp: true }, transport: throughProxy(proxy) });
    expect(await evidenceOf(open(rig))).to.deep.equal({ kind: 'proxy', status: 407 });
  });

  it('a proxy that is not there, not a proxy, silent about it or not usable is to blame, and its password is never shown', async () => {
    const gone = await startServer(sendBlob);
    await gone.close();
    const babble = await started(
      startRawServer((socket) => socket.once('data', () => socket.end('who are you?\r\n\r\n'))),
    );
    const closing = await started(startRawServer((socket) => socket.once('data', () => socket.destroy())));
    const urls = [
      `http://me:hunter22@${gone.authority}`,
      `http://me:hunter22@${babble.authority}`,
      `http://me:hunter22@${closing.authority}`,
      'socks5://me:hunter22@127.0.0.1:1',
      'http://me:hunter22@proxy.example:3128',
    ];
    for (const url of urls) {
      const rig = openRig('registry.example', { transport: { env: { https_proxy: url }, resolve: nothing } });
      const error = await failureOf(open(rig));
      expect((error as { evidence?: unknown }).evidence, url).to.deep.equal({ kind: 'proxy' });
      const shown = inspect(error, { depth: 10, showHidden: true });
      expect(shown, url).not.to.include('hunter22');
      expect(shown, url).not.to.include(Buffer.from('me:hunter22').toString('base64'));
    }
  });

  it('a proxy whose certificate nobody knows is not spoken to', async () => {
    const proxy = await started(startProxy(() => 1, { tls: authority.issue(['127.0.0.1']) }));
    const env = { HTTPS_PROXY: `https://${proxy.authority}` };
    const rig = openRig('registry.example', { transport: { env, resolve: nothing } });
    expect(await evidenceOf(open(rig))).to.deep.equal({ kind: 'proxy' });
    expect(proxy.targets).to.have.length(0);
  });

  it('a proxy may speak TLS itself, trusted as this process trusts others, beside what a registry is given', async () => {
    const usual = createAuthority('the usual one');
    const server = await started(startServer(sendBlob, { tls: certificate }));
    const proxy = await started(startProxy(() => server.port, { tls: usual.issue(['127.0.0.1']) }));
    const direct = await started(startServer(sendBlob, { tls: usual.issue(['127.0.0.1']) }));
    const directory = await mkdtemp(join(tmpdir(), 'pull-failover-proxy-'));
    try {
      const extra = join(directory, 'ca.pem');
      await writeFile(extra, usual.ca);
      const script = fileURLToPath(new URL('./fetch-blobs.ts', import.meta.url));
      const child = spawn(process.execPath, ['--import=tsx', script], {
        env: { ...process.env, NODE_EXTRA_CA_CERTS: extra, HTTPS_PROXY: `https://${proxy.authority}`, NO_PROXY: '' },
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      child.stdin.end(
        JSON.stringify({
          prefixes: ['registry.example', direct.authority],
          ca: authority.ca,
          digest,
          size: blob.length,
        }),
      );
      const lengths = (await child.stdout.toArray()).join('');
      expect(JSON.parse(lengths)).to.deep.equal([blob.length, blob.length]);
      expect(proxy.targets).to.deep.equal(['registry.example:443']);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  it('an abort ends a tunnel that is being opened', async () => {
    const silent = await started(startRawServer((socket) => socket.resume()));
    const rig = openRig('registry.example', { transport: throughProxy(silent) });
    const opening = failureOf(open(rig));
    rig.abort('enough');
    expect(await opening).to.equal('enough');
  });

  describe('where names cannot be checked,', () => {
    for (const host of ['127.0.0.1', '169.254.169.254', '10.0.0.1', '[::1]', 'localhost', 'x.localhost']) {
      it(`a public registry still cannot redirect to ${host}`, async () => {
        const server = await started(
          startServer(
            (_request, response) => {
              response.statusCode = 307;
              response.setHeader('location', `https://${host}/latest`);
              response.end();
            },
            { tls: certificate },
          ),
        );
        const proxy = await started(startProxy(() => server.port));
        const rig = openRig('registry.example', { registry: { ca: authority.ca }, transport: throughProxy(proxy) });
        expect(await evidenceOf(open(rig))).to.deep.equal({ kind: 'redirect', code: 'redirect-private' });
        expect(proxy.targets).to.have.length(1);
      });

      it(`nor name a realm at ${host}`, async () => {
        const server = await started(
          startServer(
            (_request, response) => {
              response.statusCode = 401;
              response.setHeader('www-authenticate', `Bearer realm="https://${host}/token"`);
              response.end();
            },
            { tls: certificate },
          ),
        );
        const proxy = await started(startProxy(() => server.port));
        const rig = openRig('registry.example', {
          registry: { ca: authority.ca, credentials: { username: 'me', password: 'hunter22' } },
          transport: throughProxy(proxy),
        });
        expect(await evidenceOf(open(rig))).to.deep.equal({ kind: 'auth', code: 'realm-untrusted' });
        expect(proxy.targets).to.have.length(1);
      });
    }
  });

  describe('a public registry', () => {
    // Only through a proxy can a specification have a public registry; where it leads to is connected directly.
    async function leadTo(target: string, kind: 'redirect' | 'realm'): Promise<{ rig: Rig; inner: TestServer }> {
      const inner = await started(startServer(sendBlob, { tls: certificate }));
      const server = await started(
        startServer(
          (_request, response) => {
            response.statusCode = kind === 'redirect' ? 307 : 401;
            const url = `https://${target}:${inner.port}/x`;
            if (kind === 'redirect') response.setHeader('location', url);
            else response.setHeader('www-authenticate', `Bearer realm="${url}"`);
            response.end();
          },
          { tls: certificate },
        ),
      );
      const proxy = await started(startProxy(() => server.port));
      const rig = openRig('registry.example', {
        registry: { ca: authority.ca },
        transport: {
          env: { HTTPS_PROXY: proxy.url, NO_PROXY: 'storage.example,auth.example' },
          resolve: async () => [{ address: '127.0.0.1', family: 4 }],
        },
      });
      return { rig, inner };
    }

    it('cannot redirect to a name that means this host: the address is checked, not the name', async () => {
      const { rig, inner } = await leadTo('storage.example', 'redirect');
      expect(await evidenceOf(open(rig))).to.deep.equal({ kind: 'redirect', code: 'redirect-private' });
      expect(inner.accepted).to.equal(0);
    });
    it('cannot name a realm that means this host', async () => {
      const { rig, inner } = await leadTo('auth.example', 'realm');
      expect(await evidenceOf(open(rig))).to.deep.equal({ kind: 'auth', code: 'realm-untrusted' });
      expect(inner.accepted).to.equal(0);
    });
  });
});
