import { resetSocket } from '../../lib/testing/reset-socket.js';
import { expect } from 'chai';
import { anyAddress, guardOfAnswer } from '../../lib/distribution/address-guard.js';
import { usualIdentity } from '../../lib/distribution/tls-identity.js';
import {
  createTransport,
  type Transport,
  type WireAnswer,
  type WireRequest,
} from '../../lib/distribution/transport.js';
import {
  startFullPort,
  startRawServer,
  startServer,
  startVerbatimServer,
  type TestServer,
} from '../support/servers.js';
import { bytesOf, evidenceOf, readAll } from './rig.js';
import { failureOf } from '../support/failure-of.js';
import { until } from '../support/until.js';

const never = new AbortController().signal;

function request(url: string, more: Partial<WireRequest> = {}): WireRequest {
  return {
    url: new URL(url),
    method: 'GET',
    headers: {},
    tls: usualIdentity(),
    guard: anyAddress,
    answerer: 'registry',
    phase: 'layers',
    signal: never,
    ...more,
  };
}

describe('the transport', () => {
  let transport: Transport;
  const servers: TestServer[] = [];
  const started = async (starting: Promise<TestServer>): Promise<TestServer> => {
    const server = await starting;
    servers.push(server);
    return server;
  };
  beforeEach(() => {
    transport = createTransport({ resolve: async () => [{ address: '127.0.0.1', family: 4 }] });
  });
  afterEach(async () => {
    await transport.close();
    expect(transport.openSockets).to.equal(0);
    await Promise.all(servers.splice(0).map((server) => server.close()));
  });
  const get = (url: string, more: Partial<WireRequest> = {}): Promise<WireAnswer> => transport.send(request(url, more));
  const whole = async (url: string): Promise<string> => (await readAll((await get(url)).body)).toString('utf8');

  describe('keeps connections', () => {
    it('and uses them again, one request at a time', async () => {
      const server = await started(startServer((_request, response) => response.end('ok')));
      const first = await get(server.url);
      expect(first.reused).to.equal(false);
      await readAll(first.body);
      const second = await get(server.url);
      expect(second.reused).to.equal(true);
      await readAll(second.body);
      expect(new Set(server.seen.map((each) => each.clientPort)).size).to.equal(1);
      await Promise.all([whole(server.url), whole(server.url), whole(server.url)]);
      expect(server.accepted).to.equal(3);
    });

    it('open no longer than the peer does', async () => {
      const server = await started(
        startServer((_request, response) => response.setHeader('connection', 'close').end('ok')),
      );
      await whole(server.url);
      await until(() => transport.openSockets === 0, 'the socket is closed');
      expect((await get(server.url)).reused).to.equal(false);
    });

    it('apart by TLS identity and by origin', async () => {
      const server = await started(startServer((_request, response) => response.end('ok')));
      const other = await started(startServer((_request, response) => response.end('ok')));
      await whole(server.url);
      await whole(other.url);
      expect([server.accepted, other.accepted]).to.deep.equal([1, 1]);
    });

    it('and never gives one to a request whose guard does not admit its address', async () => {
      const server = await started(startServer((_request, response) => response.end('ok')));
      const url = `http://storage.example:${server.port}/`;
      await whole(url);
      const refused = await evidenceOf(get(url, { guard: guardOfAnswer('public'), answerer: 'storage' }));
      expect(refused).to.deep.equal({ kind: 'redirect', code: 'redirect-private' });
      expect(server.seen).to.have.length(1);
    });

    it('says that a kept-alive connection was lost as the request left', async () => {
      let answered = 0;
      const server = await started(
        startRawServer((socket) => {
          socket.on('data', () => {
            answered += 1;
            if (answered === 1) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
            else resetSocket(socket);
          });
        }),
      );
      await whole(server.url);
      const evidence = await evidenceOf(get(server.url));
      expect(evidence).to.include({ kind: 'connection', reused: true, bytes: 0 });
    });
  });

  describe('checks addresses', () => {
    it('by what a name is resolved to, before any connection', async () => {
      const server = await started(startServer((_request, response) => response.end('ok')));
      const url = `http://rebound.example:${server.port}/`;
      for (const zone of ['public', 'private'] as const) {
        expect(await evidenceOf(get(url, { guard: guardOfAnswer(zone), answerer: 'storage' }))).to.deep.equal({
          kind: 'redirect',
          code: 'redirect-private',
        });
      }
      expect(await evidenceOf(get(url, { guard: guardOfAnswer('public'), answerer: 'token-service' }))).to.deep.equal({
        kind: 'auth',
        code: 'realm-untrusted',
      });
      expect(server.accepted).to.equal(0);
      expect((await get(url, { guard: guardOfAnswer('loopback') })).zone).to.equal('loopback');
    });

    it('in every spelling of a literal one', async () => {
      for (const host of [
        '127.0.0.1',
        '127.1',
        '2130706433',
        '[::1]',
        '[::ffff:127.0.0.1]',
        'localhost',
        'x.localhost',
        '169.254.169.254',
        '0.0.0.0',
      ]) {
        const refused = get(`http://${host}:1/`, { guard: guardOfAnswer('public'), answerer: 'storage' });
        expect(await evidenceOf(refused), host).to.deep.equal({ kind: 'redirect', code: 'redirect-private' });
      }
    });

    it('and connects to the admitted ones of a name that has both', async () => {
      const server = await started(startServer((_request, response) => response.end('ok')));
      const mixed = createTransport({
        resolve: async () => [
          { address: '169.254.169.254', family: 4 },
          { address: '127.0.0.1', family: 4 },
        ],
      });
      try {
        const answer = await mixed.send(
          request(`http://mixed.example:${server.port}/`, { guard: guardOfAnswer('loopback') }),
        );
        expect(answer.zone).to.equal('loopback');
        await readAll(answer.body);
      } finally {
        await mixed.close();
      }
    });
  });

  describe('connects', () => {
    it('to IPv6 literals', async () => {
      const server = await started(startServer((_request, response) => response.end('six'), { host: '::1' }));
      expect(await whole(server.url)).to.equal('six');
      expect(server.seen[0]?.headers.host).to.equal(server.authority);
    });

    it('to the other family where one does not answer', async () => {
      const server = await started(startServer((_request, response) => response.end('four')));
      const dual = createTransport({
        resolve: async () => [
          { address: '::1', family: 6 },
          { address: '127.0.0.1', family: 4 },
        ],
      });
      try {
        const answer = await dual.send(request(`http://dual.example:${server.port}/`));
        expect((await readAll(answer.body)).toString()).to.equal('four');
      } finally {
        await dual.close();
      }
    });

    it('and says who refused', async () => {
      const server = await startServer((_request, response) => response.end());
      await server.close();
      expect(await evidenceOf(get(server.url))).to.deep.equal({
        kind: 'connection',
        code: 'refused',
        reused: false,
        bytes: 0,
        lateMs: 0,
      });
      const dual = createTransport({
        resolve: async () => [
          { address: '::1', family: 6 },
          { address: '127.0.0.1', family: 4 },
        ],
      });
      try {
        const evidence = await evidenceOf(dual.send(request(`http://dual.example:${server.port}/`)));
        expect(evidence).to.include({ kind: 'connection', code: 'refused' });
      } finally {
        await dual.close();
      }
    });

    it('and says whether a name or the resolver failed', async () => {
      const failing = createTransport({
        resolve: async (name) => {
          if (name === 'good.example') return [{ address: '127.0.0.1', family: 4 }];
          const code = name.startsWith('missing') ? 'ENOTFOUND' : 'EAI_AGAIN';
          throw Object.assign(new Error(`getaddrinfo ${code}`), { code, syscall: 'getaddrinfo' });
        },
      });
      const server = await started(startServer((_request, response) => response.end('ok')));
      const dns = (host: string): Promise<unknown> =>
        evidenceOf(failing.send(request(`http://${host}:${server.port}/`)));
      try {
        expect(await dns('missing.example')).to.deep.equal({ kind: 'dns', code: 'not-found', scope: 'name' });
        expect(await dns('broken.example')).to.deep.equal({ kind: 'dns', code: 'failed', scope: 'all' });
        await readAll((await failing.send(request(`http://good.example:${server.port}/`))).body);
        expect(await dns('broken.example')).to.deep.equal({ kind: 'dns', code: 'failed', scope: 'name' });
      } finally {
        await failing.close();
      }
    });

    it('as this host resolves names, where nobody says otherwise', async () => {
      const plain = createTransport();
      const server = await started(startServer((_request, response) => response.end('ok')));
      try {
        await readAll((await plain.send(request(`http://localhost:${server.port}/`))).body);
        const evidence = await evidenceOf(plain.send(request('http://no-such-host.invalid/')));
        expect(evidence).to.include({ kind: 'dns', scope: 'name' });
      } finally {
        await plain.close();
      }
    });
  });

  describe('ends', () => {
    it("a request at an abort, at once and with the signal's own reason, while connecting too", async () => {
      const { port, close } = await startFullPort();
      try {
        const ending = new AbortController();
        const connecting = failureOf(get(`http://127.0.0.1:${port}/`, { signal: ending.signal }));
        await until(() => transport.openSockets === 1, 'it connects');
        const reason = { mine: true };
        ending.abort(reason);
        expect(await connecting).to.equal(reason);
        await until(() => transport.openSockets === 0, 'its socket is closed');
      } finally {
        await close();
      }
    });

    it('a request at an abort while the head or the body is awaited', async () => {
      const silent = await started(startRawServer((socket) => socket.resume()));
      const ending = new AbortController();
      const head = failureOf(get(silent.url, { signal: ending.signal }));
      await until(() => silent.connections === 1, 'it is connected');
      ending.abort('head');
      expect(await head).to.equal('head');

      const slow = await started(startVerbatimServer('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab', 'keep'));
      const later = new AbortController();
      const answer = await get(slow.url, { signal: later.signal });
      await answer.body.read();
      const waiting = failureOf(answer.body.read());
      later.abort('body');
      expect(await waiting).to.equal('body');
      await until(() => transport.openSockets === 0, 'both sockets are closed');
      expect(await failureOf(get(slow.url, { signal: later.signal }))).to.equal('body');
    });

    it('everything when it is closed: idle, connecting, waiting for a head and in the middle of a body', async () => {
      const { port, close } = await startFullPort();
      try {
        const idle = await started(startServer((_request, response) => response.end('ok')));
        const silent = await started(startRawServer((socket) => socket.resume()));
        const slow = await started(startVerbatimServer('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab', 'keep'));
        await whole(idle.url);
        const connecting = evidenceOf(get(`http://127.0.0.1:${port}/`));
        const head = evidenceOf(get(silent.url));
        const answer = await get(slow.url);
        await answer.body.read();
        const body = evidenceOf(answer.body.read());
        await until(() => transport.openSockets === 4, 'all are open');
        await transport.close();
        for (const evidence of await Promise.all([connecting, head, body]))
          expect(evidence).to.deep.equal({ kind: 'aborted' });
        expect(transport.openSockets).to.equal(0);
        expect(await evidenceOf(get(idle.url))).to.deep.equal({ kind: 'aborted' });
        await until(() => idle.connections + silent.connections + slow.connections === 0, 'the servers see it');
      } finally {
        await close();
      }
    });

    it('what was still being looked up when it is closed', async () => {
      const stuck = createTransport({ resolve: () => new Promise(() => undefined) });
      const looking = evidenceOf(stuck.send(request('http://slow.example/')));
      await stuck.close();
      expect(await looking).to.deep.equal({ kind: 'aborted' });
    });
  });

  describe('takes nothing from a peer', () => {
    const head = 'HTTP/1.1 200 OK\r\n';
    const malformed: readonly [string, string][] = [
      ['a greeting of another protocol', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
      ['a status that is no number', 'HTTP/1.1 abc OK\r\n\r\n'],
      ['a status that there cannot be', 'HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n'],
      ['a header without a colon', `${head}no colon here\r\n\r\n`],
      ['a length that is no number', `${head}content-length: ten\r\n\r\n`],
      ['two lengths', `${head}content-length: 1\r\ncontent-length: 2\r\n\r\nab`],
      [
        'a length and chunks at once',
        `${head}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
      ],
      ['a chunk size that is no number', `${head}transfer-encoding: chunked\r\n\r\nxyz\r\nabc\r\n`],
      ['more headers than fit', `${head}x: ${'y'.repeat(40_000)}\r\n\r\n`],
      ['interim answers without end', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(20)],
      ['a "100 Continue" nobody waits for', `HTTP/1.1 100 Continue\r\n\r\n${head}content-length: 0\r\n\r\n`],
      ['an upgrade to nothing', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
      ['an upgrade nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'],
    ];
    for (const [title, bytes] of malformed) {
      it(`that is ${title}`, async () => {
        const server = await started(startVerbatimServer(bytes, 'keep'));
        const reading = (async () => readAll((await get(server.url)).body))();
        expect(await evidenceOf(reading)).to.deep.equal({
          kind: 'content',
          code: 'malformed-response',
          from: 'registry',
        });
        await until(() => transport.openSockets === 0, 'the socket is closed');
      });
    }

    it('but a few interim answers before the real one', async () => {
      const bytes = `${'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n'.repeat(3)}${head}content-length: 2\r\n\r\nok`;
      const server = await started(startVerbatimServer(bytes, 'keep'));
      expect(await whole(server.url)).to.equal('ok');
    });

    it('but header names that objects know', async () => {
      const bytes = `${head}__proto__: a\r\nconstructor: b\r\n__proto__: c\r\ncontent-length: 2\r\n\r\nok`;
      const server = await started(startVerbatimServer(bytes, 'keep'));
      const answer = await get(server.url);
      expect(answer.headers.get('constructor')).to.equal('b');
      expect((await readAll(answer.body)).toString()).to.equal('ok');
    });

    it('into the next answer that it sent behind this one', async () => {
      const poison = `${head}content-length: 6\r\n\r\npoison`;
      let answered = 0;
      const server = await started(
        startRawServer((socket) => {
          socket.on('data', () => {
            answered += 1;
            socket.write(`${head}content-length: 2\r\n\r\n${answered === 1 ? `ok${poison}` : 'ok'}`);
          });
        }),
      );
      expect(await whole(server.url)).to.equal('ok');
      expect(await whole(server.url)).to.equal('ok');
    });
  });

  describe('says how a body was lost', () => {
    const cases: readonly [string, string, 'close' | 'reset', number][] = [
      ['with a length', 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc', 'close', 3],
      ['with a length, closing', 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\nabc', 'close', 3],
      ['in chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n', 'close', 3],
      [
        'in chunks, closing',
        'HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n',
        'close',
        3,
      ],
      ['in the middle of a chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc', 'close', 3],
      ['before its first byte', 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n', 'close', 0],
    ];
    for (const [title, bytes, end, arrived] of cases) {
      it(`${title}: closed after ${arrived} bytes`, async () => {
        const server = await started(startVerbatimServer(bytes, end));
        const answer = await get(server.url);
        expect(await evidenceOf(readAll(answer.body))).to.deep.equal({
          kind: 'connection',
          code: 'closed',
          reused: false,
          bytes: arrived,
          lateMs: 0,
        });
      });
    }
    it('by a reset', async () => {
      let reset: () => void = () => undefined;
      const server = await started(
        startRawServer((socket) => {
          reset = () => resetSocket(socket);
          socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc'));
        }),
      );
      const answer = await get(server.url);
      expect((await answer.body.read())?.length).to.equal(3);
      const waiting = evidenceOf(answer.body.read());
      reset();
      expect(await waiting).to.deep.equal({ kind: 'connection', code: 'reset', reused: false, bytes: 3, lateMs: 0 });
    });
    it('before its head', async () => {
      for (const bytes of ['', 'HTTP/1.1 200 OK\r\ncontent-le']) {
        const server = await started(startRawServer((socket) => socket.once('data', () => socket.end(bytes))));
        expect(await evidenceOf(get(server.url))).to.deep.equal({
          kind: 'connection',
          code: 'closed',
          reused: false,
          bytes: 0,
          lateMs: 0,
        });
      }
    });
  });

  it('holds a peer back that is faster than the reader', async () => {
    const size = 32 * 1024 * 1024;
    let sent = 0;
    const server = await started(
      startServer((_request, response) => {
        response.setHeader('content-length', size);
        const piece = bytesOf(65_536);
        const pump = (): void => {
          while (sent < size) {
            sent += piece.length;
            if (!response.write(piece)) {
              response.once('drain', pump);
              return;
            }
          }
          response.end();
        };
        pump();
      }),
    );
    const { body } = await get(server.url);
    await body.read();
    // The kernel's own buffers take some megabytes; what counts is that it stops.
    let before = -1;
    await until(() => {
      const still = before === sent && sent > 0;
      before = sent;
      return still;
    }, 'the server stops sending');
    expect(body.bytes).to.be.below(1024 * 1024);
    expect(sent).to.be.below(size);
    let read = 0;
    for (let chunk = await body.read(); chunk !== null; chunk = await body.read()) read += chunk.length;
    expect(body.bytes).to.equal(size);
    expect(read).to.be.above(size - 1024 * 1024);
  });
});
