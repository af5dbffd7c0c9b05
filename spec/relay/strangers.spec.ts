import { connect as connectTls } from 'node:tls';
import { expect } from 'chai';
import { createRelayAuth } from '../../lib/relay/auth.js';
import type { Relay } from '../../lib/relay/relay.js';
import { startRelay } from '../../lib/relay/start-relay.js';
import { seededImage } from '../../lib/testing/index.js';
import { until } from '../support/until.js';
import { ask } from '../testing/plain-client.js';
import { openRawClient, type RawClient } from './support/raw-client.js';
import { closeRelayRigs, loopback, openRelayRig, type RelayRig, repository, tag } from './support/relay-rig.js';

const image = seededImage({ bytes: [50_000], seed: 'strangers' });
const digest = image.layers[0]?.digest ?? image.config.digest;
const blobPath = `/v2/${repository}/blobs/${digest}`;
const manifestPath = `/v2/${repository}/manifests/${tag}`;

const basicOf = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

describe('whoever is not the daemon', () => {
  let rig: RelayRig;
  const clients: RawClient[] = [];

  beforeEach(async () => {
    rig = await openRelayRig({ image, registries: [{}] });
    await rig.serve();
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.leave();
    await closeRelayRigs();
  });

  async function open(): Promise<RawClient> {
    const client = await openRawClient(rig.relay.address);
    clients.push(client);
    return client;
  }
  /** A request as text, with the secret unless the headers say otherwise. */
  function request(line: string, headers: Readonly<Record<string, string>> = {}): string {
    const all = { Host: rig.relay.address, Authorization: rig.authorization, ...headers };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    return `${line} HTTP/1.1\r\n${lines.join('')}\r\n`;
  }
  /** Says something, and waits until the relay has closed the connection. */
  async function sayToTheEnd(text: string | Uint8Array): Promise<string> {
    const client = await open();
    client.say(text);
    await until(client.isClosed, 'the connection is closed');
    return client.heard();
  }
  const blobRequests = (): number => rig.heart.double('A').requests.filter(({ kind }) => kind === 'blob').length;
  /** Whatever somebody did, the daemon is served. */
  async function expectServed(): Promise<void> {
    expect((await rig.askBlob(digest)).end).to.equal('complete');
    expect((await rig.ask(manifestPath)).status).to.equal(200);
  }

  describe('without the secret', () => {
    const wrong: Readonly<Record<string, (relay: Relay) => string | null>> = {
      'shows nothing': () => null,
      'shows another password': ({ credentials }) => basicOf(credentials.username, 'guess'),
      'shows another user': ({ credentials }) => basicOf('docker', credentials.password),
      'shows all but the last character': ({ credentials }) =>
        basicOf(credentials.username, credentials.password.slice(0, -1)),
      'shows one more character': ({ credentials }) => basicOf(credentials.username, `${credentials.password}x`),
      'shows it in lower case': ({ credentials }) => basicOf(credentials.username, credentials.password.toLowerCase()),
      'shows it as a token': ({ credentials }) => `Bearer ${credentials.password}`,
      'shows it in the clear': ({ credentials }) => `Basic ${credentials.username}:${credentials.password}`,
      'shows nothing as Podman does': () => 'Basic Og==',
      'shows only a scheme': () => 'Basic',
      'shows an empty header': () => '',
    };
    for (const [what, show] of Object.entries(wrong)) {
      it(`gets 401 for everything when it ${what}`, async () => {
        const shown = show(rig.relay);
        const headers = shown === null ? {} : { authorization: shown };
        for (const path of ['/v2/', manifestPath, blobPath, '/v2/nothing', '/']) {
          for (const method of ['GET', 'HEAD', 'POST']) {
            const answer = await ask(`${rig.url}${path}`, { method, headers });
            expect(answer.status, `${method} ${path}`).to.equal(401);
            expect(answer.headers['www-authenticate']).to.equal('Basic realm="pull-failover"');
            expect(answer.headers['docker-distribution-api-version']).to.equal('registry/2.0');
            if (method !== 'HEAD') expect(answer.body.toString()).to.include('UNAUTHORIZED');
          }
        }
        expect(blobRequests()).to.equal(0);
      });
    }

    it('cannot guess it: it is long, and another one for each relay', async () => {
      await using other = await startRelay(loopback);
      expect(other.credentials.password).to.not.equal(rig.relay.credentials.password);
      expect(Buffer.from(other.credentials.password, 'base64url').length).to.equal(32);
      const answer = await rig.ask('/v2/', {
        headers: { authorization: basicOf(other.credentials.username, other.credentials.password) },
      });
      expect(answer.status).to.equal(401);
    });

    it('is told apart from the daemon whatever the letter case of the scheme', () => {
      const { admits, credentials } = createRelayAuth('127.0.0.1:1');
      const shown = Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64');
      for (const scheme of ['Basic', 'basic', 'BASIC']) expect(admits(`${scheme} ${shown}`)).to.equal(true);
      expect(admits(`Basic${shown}`)).to.equal(false);
      expect(admits(`Basic ${shown} `)).to.equal(false);
      expect(admits(undefined)).to.equal(false);
    });
  });

  describe('with the secret, through a page in a browser', () => {
    for (const host of ['evil.example', 'localhost', '127.0.0.1', '127.0.0.1:1', '', 'evil.example:80']) {
      it(`is refused for the host ${JSON.stringify(host)}`, async () => {
        const heard = await sayToTheEnd(request('GET /v2/', { Host: host, Connection: 'close' }));
        expect(heard).to.match(/^HTTP\/1\.1 4(?:21|00) /);
        expect(heard).to.not.include('WWW-Authenticate');
      });
    }

    it('is refused without a host', async () => {
      expect(await sayToTheEnd(`GET /v2/ HTTP/1.0\r\nAuthorization: ${rig.authorization}\r\n\r\n`)).to.match(
        /^HTTP\/1\.1 421 /,
      );
    });

    it('is refused for another host in the request line', async () => {
      const heard = await sayToTheEnd(request('GET http://evil.example/v2/', { Connection: 'close' }));
      expect(heard).to.match(/^HTTP\/1\.1 404 /);
    });

    it('is let in by the address that is advertised, and by the one it listens on', async () => {
      const free = await startRelay(loopback);
      const port = Number(free.address.split(':')[1]);
      await free.close();
      const listen = { host: '127.0.0.1', port };
      await using relay = await startRelay({ listen, advertise: 'Relay.example:5000' });
      expect(relay.address).to.equal('Relay.example:5000');
      expect(relay.credentials.serveraddress).to.equal('Relay.example:5000');
      const authorization = basicOf(relay.credentials.username, relay.credentials.password);
      const statusFor = async (host: string): Promise<number> =>
        (await ask(`http://127.0.0.1:${port}/v2/`, { headers: { host, authorization } })).status;
      expect(await statusFor('relay.example:5000')).to.equal(200);
      expect(await statusFor(`127.0.0.1:${port}`)).to.equal(200);
      expect(await statusFor(`relay.example:${port}`)).to.equal(421);
    });
  });

  describe('with the secret', () => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      it(`changes nothing with ${method}`, async () => {
        for (const path of [blobPath, manifestPath, `/v2/${repository}/blobs/uploads/`]) {
          const answer = await rig.ask(path, { method, body: 'x' });
          expect([answer.status, answer.headers.allow]).to.deep.equal([405, 'GET, HEAD']);
          // Whatever the rest of a body says is not read.
          expect(answer.headers.connection).to.equal('close');
        }
        await expectServed();
      });
    }

    for (const path of [
      '/',
      '/v2/../../etc/passwd',
      '/v2/%2e%2e/%2e%2e/etc/passwd',
      `//v2/${repository}/blobs/${digest}`,
      `/v2//${repository}/blobs/${digest}`,
      `/v2/${repository}/../x/blobs/${digest}`,
      `/v2/${repository}/blobs/${digest}/`,
      `/v2/${repository.toUpperCase()}/blobs/${digest}`,
      `/v2/${repository}/blobs/${digest}%00`,
      `/v2/${repository}/manifests/../manifests/${tag}`,
      `/v2/${repository}/tags/list`,
      '/v2/_catalog',
    ]) {
      it(`finds nothing at ${path.slice(0, 70)}`, async () => {
        const heard = await sayToTheEnd(request(`GET ${path}`, { Connection: 'close' }));
        expect(heard).to.match(/^HTTP\/1\.1 404 /);
        expect(blobRequests()).to.equal(0);
      });
    }

    it('finds no repository, tag, manifest or blob that is not being served', async () => {
      const other = repository.replace('team', 'other');
      const unknown = `sha256:${'0'.repeat(64)}`;
      for (const path of [
        `/v2/${repository}/manifests/2`,
        `/v2/${repository}/manifests/${unknown}`,
        `/v2/${repository}/blobs/${unknown}`,
        `/v2/${other}/manifests/${tag}`,
        `/v2/${other}/manifests/${image.digest}`,
        `/v2/${other}/blobs/${unknown}`,
      ]) {
        expect((await rig.ask(path)).status, path).to.equal(404);
      }
      expect(rig.heart.double('A').requests.filter(({ object }) => object === unknown)).to.deep.equal([]);
    });
  });

  describe('that speaks no HTTP', () => {
    it('is answered at once when it begins with TLS, so that a daemon goes on in the clear', async () => {
      const client = await open();
      // A ClientHello: handshake record, version 1.0, 512 bytes.
      client.say(Buffer.concat([Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]), Buffer.alloc(506)]));
      await until(client.isClosed, 'the connection is closed');
      expect(client.heard()).to.match(/^HTTP\/1\.1 400 /);
    });

    it('is answered before its ClientHello is whole', async () => {
      expect(await sayToTheEnd(Buffer.from([0x16]))).to.match(/^HTTP\/1\.1 400 /);
    });

    it('fails at once in a real TLS client', async () => {
      const port = Number(rig.relay.address.split(':')[1]);
      const error = await new Promise<NodeJS.ErrnoException>((resolve) => {
        const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
        socket.once('error', resolve);
      });
      expect(error.code).to.match(/^ERR_SSL|EPROTO/);
    });

    for (const [what, bytes] of [
      ['noise', '\0\x01\x02\xff\r\n\r\n'],
      ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n'],
      ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
      ['two lengths', 'GET /v2/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
      ['a length and chunks', 'GET /v2/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'],
      ['a header folded over two lines', 'GET /v2/ HTTP/1.1\r\nHost: a\r\n b\r\n\r\n'],
      ['a bare line feed in a header', 'GET /v2/ HTTP/1.1\r\nHost: a\rX: b\r\n\r\n'],
      ['a path with a space', 'GET /v2/ a HTTP/1.1\r\n\r\n'],
    ] as const) {
      it(`is refused for ${what}`, async () => {
        expect(await sayToTheEnd(Buffer.from(bytes, 'latin1'))).to.match(/^HTTP\/1\.1 4\d\d /);
        await expectServed();
      });
    }

    it('is refused for headers that do not end', async () => {
      const client = await open();
      client.say(`GET /v2/ HTTP/1.1\r\nHost: ${rig.relay.address}\r\n`);
      for (let line = 0; line < 3_000 && !client.isClosed(); line += 1) client.say(`X-${line}: ${'x'.repeat(100)}\r\n`);
      await until(client.isClosed, 'the connection is closed');
      await expectServed();
    });

    it('is refused for one long header', async () => {
      const heard = await sayToTheEnd(`GET /v2/ HTTP/1.1\r\nX: ${'x'.repeat(20_000)}`);
      // The rest of what it said may end the connection before it can read the answer.
      expect(heard).to.match(/^(?:HTTP\/1\.1 431 |$)/);
      await expectServed();
    });

    for (const line of ['CONNECT 127.0.0.1:22', 'TRACE /v2/']) {
      it(`is refused for ${line.split(' ')[0]}`, async () => {
        const heard = await sayToTheEnd(request(line, { Connection: 'close' }));
        expect(heard).to.match(/^(?:HTTP\/1\.1 4\d\d |$)/);
        await expectServed();
      });
    }

    it('stays with HTTP when it asks for another protocol', async () => {
      const heard = await sayToTheEnd(request('GET /v2/', { Connection: 'Upgrade, close', Upgrade: 'h2c' }));
      expect(heard).to.match(/^HTTP\/1\.1 200 /);
    });
  });

  describe('that is slow, or many', () => {
    it('is not waited for', async () => {
      const patience = { headMs: 200, requestMs: 300, idleMs: 200, checkMs: 50 };
      await using relay = await startRelay(loopback, patience);
      const host = `Host: ${relay.address}\r\n`;
      const sayings = {
        nothing: '',
        'the beginning of a line': 'GET /v2/',
        'headers without an end': `GET /v2/ HTTP/1.1\r\n${host}`,
        'a body without an end': `GET /v2/ HTTP/1.1\r\n${host}Content-Length: 10\r\n\r\nx`,
        'chunks without an end': `GET /v2/ HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n`,
        'one request and no other': `GET /v2/ HTTP/1.1\r\n${host}\r\n`,
      };
      const slow = await Promise.all(
        Object.values(sayings).map(async (text) => {
          const client = await openRawClient(relay.address);
          clients.push(client);
          client.say(text);
          return client;
        }),
      );
      const dripping = await openRawClient(relay.address);
      clients.push(dripping);
      const drip = setInterval(() => dripping.say('G'), 20);
      try {
        await until(() => [...slow, dripping].every((client) => client.isClosed()), 'all connections are closed');
      } finally {
        clearInterval(drip);
      }
    });

    it('does not keep the daemon out, however many connections it holds', async () => {
      const held = await Promise.all(Array.from({ length: 150 }, () => open()));
      for (const client of held) client.say('GET /v2/ HTTP/1.1\r\n');
      await expectServed();
      await until(() => held.filter((client) => !client.isClosed()).length <= 64, 'the oldest are closed');
      await expectServed();
    });

    it('does not push out a connection of the daemon', async () => {
      const daemon = await open();
      daemon.say(request('GET /v2/'));
      await until(() => daemon.heard().includes('200 OK'));
      const held = await Promise.all(Array.from({ length: 150 }, () => open()));
      await until(() => held.filter((client) => client.isClosed()).length >= 86, 'the oldest are closed');
      daemon.say(request(`HEAD ${blobPath}`));
      await until(() => daemon.heard().includes('Accept-Ranges'));
    });
  });

  describe('that asks for too much at once', () => {
    it('is hung up on when it asks again before it has an answer, and what it asked for is let go', async () => {
      const slow = await openRelayRig({
        image,
        registries: [{ faults: [], bandwidth: { totalBytesPerSecond: 5_000 } }],
      });
      const { serving } = await slow.serve();
      const client = await openRawClient(slow.relay.address);
      clients.push(client);
      const one = `GET ${blobPath} HTTP/1.1\r\nHost: ${slow.relay.address}\r\nAuthorization: ${slow.authorization}\r\n\r\n`;
      client.say(one.repeat(100));
      await until(client.isClosed, 'the connection is closed');
      await until(() => serving.activity.open === 0);
      expect(slow.heart.double('A').requests.filter(({ kind }) => kind === 'blob').length).to.be.at.most(1);
    });

    it('costs the registries nothing with HEAD', async () => {
      const answers = await Promise.all(Array.from({ length: 300 }, () => rig.askBlob(digest, { method: 'HEAD' })));
      expect(new Set(answers.map(({ status }) => status))).to.deep.equal(new Set([200]));
      const manifests = await Promise.all(Array.from({ length: 100 }, () => rig.ask(manifestPath, { method: 'HEAD' })));
      expect(new Set(manifests.map(({ status }) => status))).to.deep.equal(new Set([200]));
      expect(blobRequests()).to.equal(0);
    });
  });
});
