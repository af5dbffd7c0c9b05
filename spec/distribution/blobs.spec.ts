import { resetSocket } from '../../lib/testing/reset-socket.js';
import { expect } from 'chai';
import type { BlobAnswer } from '../../lib/distribution/client.js';
import { ExchangeError } from '../../lib/distribution/wire-error.js';
import { startFullPort, startRawServer, startServer, type Answer } from '../support/servers.js';
import { bytesOf, digestOfBytes, evidenceOf, openRig, readAll, useServers, type Rig } from './rig.js';
import { failureOf } from '../support/failure-of.js';
import { until } from '../support/until.js';

describe('a blob', () => {
  const started = useServers();

  const blob = bytesOf(300_000);
  const digest = digestOfBytes(blob);
  interface Wanted {
    readonly from?: number;
    readonly to?: number;
    readonly size?: number;
    readonly firstByteMs?: number;
    readonly requestMs?: number;
    readonly onConnection?: (holds: boolean) => void;
  }
  const open = ({ client, context }: Rig, wanted: Wanted = {}): Promise<BlobAnswer> =>
    client.openBlob({
      ...context,
      repository: 'team/app',
      digest,
      size: blob.length,
      from: 0,
      firstByteMs: 10_000,
      ...wanted,
    });
  const serving = async (answer: Answer): Promise<Rig> => openRig((await started(startServer(answer))).authority);
  /** Opens a blob at a server that sends these bytes as they are, and reads it. */
  async function readVerbatim(bytes: string | Buffer, wanted: Wanted = {}, end = true): Promise<Buffer> {
    const server = await started(
      startRawServer((socket) => {
        socket.once('data', () => {
          if (end) socket.end(bytes);
          else socket.write(bytes);
        });
      }),
    );
    return readAll((await open(openRig(server.authority), wanted)).body);
  }

  it('is delivered whole, without a Range, and asked for as it is', async () => {
    const server = await started(
      startServer((_request, response) => response.setHeader('content-length', blob.length).end(blob)),
    );
    const answer = await open(openRig(server.authority));
    expect(answer).to.include({ start: 0, length: blob.length, answerer: 'registry' });
    expect((await readAll(answer.body)).equals(blob)).to.equal(true);
    expect(answer.body.bytes).to.equal(blob.length);
    expect(server.seen[0]?.url).to.equal(`/v2/team/app/blobs/${digest}`);
    expect(server.seen[0]?.headers).to.include({ 'accept-encoding': 'identity' });
    expect(server.seen[0]?.headers['user-agent']).to.match(/^pull-failover\/\d/);
    expect(server.seen[0]?.headers).not.to.have.any.keys('range', 'authorization', 'cookie');
  });

  it('may come in chunks, and without any announced length', async () => {
    const chunked = await serving((_request, response) => {
      response.write(blob);
      response.end();
    });
    const answer = await open(chunked);
    expect(answer.length).to.equal(null);
    expect((await readAll(answer.body)).equals(blob)).to.equal(true);
    const closing = Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n'), blob]);
    expect((await readVerbatim(closing)).equals(blob)).to.equal(true);
  });

  it('of size 0 is never asked for with a Range, and ends at once', async () => {
    const server = await started(startServer((_request, response) => response.setHeader('content-length', 0).end()));
    const { client, context } = openRig(server.authority);
    const answer = await client.openBlob({ ...context, repository: 'a', digest, size: 0, from: 0, firstByteMs: 5_000 });
    expect(await answer.body.read()).to.equal(null);
    expect(server.seen[0]?.headers).not.to.have.property('range');
  });

  describe('from an offset', () => {
    const size = 10_001;
    const whole = bytesOf(size);
    const ranged: Answer = (request, response) => {
      const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 'NaN');
      response.writeHead(206, { 'content-range': `bytes ${from}-${size - 1}/${size}`, 'content-length': size - from });
      response.end(whole.subarray(from));
    };
    for (const from of [1, 5_000, size - 2, size - 1]) {
      it(`${from} of ${size} starts exactly there`, async () => {
        const answer = await open(await serving(ranged), { from, size });
        expect(answer).to.include({ start: from, length: size - from });
        expect((await readAll(answer.body)).equals(whole.subarray(from))).to.equal(true);
      });
      it(`${from} of ${size} starts at 0 where the registry does no ranges: the reader skips`, async () => {
        const answer = await open(await serving((_request, response) => response.end(whole)), { from, size });
        expect(answer.start).to.equal(0);
        expect((await readAll(answer.body)).equals(whole)).to.equal(true);
      });
    }
    it('may end before the end of the blob, when the answer says so', async () => {
      const rig = await serving((_request, response) => {
        response.writeHead(206, { 'content-range': `bytes 10-19/${size}` });
        response.end(whole.subarray(10, 20));
      });
      const answer = await open(rig, { from: 10, size });
      expect(answer.length).to.equal(10);
      expect((await readAll(answer.body)).equals(whole.subarray(10, 20))).to.equal(true);
    });
    it('that cannot be satisfied is a status like any other', async () => {
      const rig = await serving((_request, response) =>
        response.writeHead(416, { 'content-range': 'bytes */5' }).end(),
      );
      expect(await evidenceOf(open(rig, { from: 10, size }))).to.deep.include({ kind: 'status', status: 416 });
    });
    for (const from of [-1, 0.5, size, size + 1, NaN, Infinity]) {
      it(`${from} is refused before anything is sent`, async () => {
        const server = await started(startServer(ranged));
        expect(await failureOf(open(openRig(server.authority), { from, size }))).to.be.instanceOf(RangeError);
        expect(server.accepted).to.equal(0);
      });
    }
  });

  describe('up to an offset', () => {
    const size = 10_001;
    const whole = bytesOf(size);
    const ranged: Answer = (request, response) => {
      const [, first = '', last = ''] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
      const part = whole.subarray(Number(first), last === '' ? size : Number(last) + 1);
      const end = Number(first) + part.length - 1;
      response.writeHead(206, { 'content-range': `bytes ${first}-${end}/${size}`, 'content-length': part.length });
      response.end(part);
    };
    const middle = 5_000;
    const parts: readonly (readonly [number, number, string])[] = [
      [0, 1, 'bytes=0-0'],
      [0, middle, `bytes=0-${middle - 1}`],
      [0, size - 1, `bytes=0-${size - 2}`],
      [1, 2, 'bytes=1-1'],
      [1, size - 1, `bytes=1-${size - 2}`],
      [middle, middle + 1, `bytes=${middle}-${middle}`],
      [middle, size - 1, `bytes=${middle}-${size - 2}`],
      [middle, size, `bytes=${middle}-`],
      [size - 2, size - 1, `bytes=${size - 2}-${size - 2}`],
      [size - 1, size, `bytes=${size - 1}-`],
    ];
    for (const [from, to, range] of parts) {
      it(`[${from}, ${to}) of ${size} is asked for as ${range}, and brings exactly that`, async () => {
        const server = await started(startServer(ranged));
        const answer = await open(openRig(server.authority), { from, to, size });
        expect(answer).to.include({ start: from, length: to - from });
        expect((await readAll(answer.body)).equals(whole.subarray(from, to))).to.equal(true);
        expect(server.seen.map(({ headers }) => headers.range)).to.deep.equal([range]);
      });
      it(`[${from}, ${to}) of ${size} brings the whole where the registry does no ranges: the reader skips`, async () => {
        const answer = await open(await serving((_request, response) => response.end(whole)), { from, to, size });
        expect(answer.start).to.equal(0);
        expect((await readAll(answer.body)).equals(whole)).to.equal(true);
      });
    }
    it('that is the end is asked for without a Range when it starts at 0', async () => {
      const server = await started(startServer((_request, response) => response.end(whole)));
      expect((await readAll((await open(openRig(server.authority), { to: size, size })).body)).length).to.equal(size);
      expect(server.seen[0]?.headers).not.to.have.property('range');
    });
    it('may end before that, when the answer says so', async () => {
      const rig = await serving((_request, response) => {
        response.writeHead(206, { 'content-range': `bytes 10-19/${size}` });
        response.end(whole.subarray(10, 20));
      });
      const answer = await open(rig, { from: 10, to: 30, size });
      expect(answer).to.include({ start: 10, length: 10 });
      expect((await readAll(answer.body)).equals(whole.subarray(10, 20))).to.equal(true);
    });
    for (const [sent, code] of [
      [9, 'closed'],
      [11, 'length-mismatch'],
    ] as const) {
      it(`of 10 bytes fails when ${sent} come`, async () => {
        const rig = await serving((_request, response) => {
          response.writeHead(206, { 'content-range': `bytes 10-19/${size}`, connection: 'close' });
          response.end(whole.subarray(10, 10 + sent));
        });
        const read = open(rig, { from: 10, to: 20, size }).then(({ body }) => readAll(body));
        expect(await evidenceOf(read)).to.deep.include({ code });
      });
    }
    for (const [from, to] of [
      [0, 0],
      [0, -1],
      [0, 0.5],
      [0, size + 1],
      [0, NaN],
      [0, Infinity],
      [5, 5],
      [5, 4],
    ] as const) {
      it(`[${from}, ${to}) is refused before anything is sent`, async () => {
        const server = await started(startServer(ranged));
        expect(await failureOf(open(openRig(server.authority), { from, to, size }))).to.be.instanceOf(RangeError);
        expect(server.accepted).to.equal(0);
      });
    }
  });

  describe('is refused at its head', () => {
    const heads: readonly [string, number, Record<string, string | number>, Wanted, string][] = [
      ['when it is compressed', 200, { 'content-encoding': 'gzip' }, {}, 'content-encoded'],
      ['when it announces another length', 200, { 'content-length': 7 }, {}, 'length-mismatch'],
      ['when a range comes that nobody asked for', 206, { 'content-range': 'bytes 0-6/300000' }, {}, 'range-mismatch'],
      ['when the range starts elsewhere', 206, { 'content-range': 'bytes 4-10/300000' }, { from: 5 }, 'range-mismatch'],
      ['when the range is of another blob', 206, { 'content-range': 'bytes 5-11/12' }, { from: 5 }, 'length-mismatch'],
      ['when the range is not told', 206, {}, { from: 5 }, 'range-mismatch'],
      ['when more comes than asked', 206, { 'content-range': 'bytes 0-6/300000' }, { to: 6 }, 'range-mismatch'],
      ['when all the rest comes', 206, { 'content-range': 'bytes 5-299999/*' }, { from: 5, to: 9 }, 'range-mismatch'],
    ];
    for (const [title, status, headers, wanted, code] of heads) {
      it(title, async () => {
        const rig = await serving((_request, response) => response.writeHead(status, headers).end('7 bytes'));
        expect(await evidenceOf(open(rig, wanted))).to.deep.equal({ kind: 'content', code, from: 'registry' });
        await until(() => rig.transport.openSockets <= 1, 'no socket is left but an idle one');
      });
    }
    for (const status of [201, 204, 300, 304]) {
      it(`with status ${status}, which is no answer to it`, async () => {
        const rig = await serving((_request, response) => response.writeHead(status).end());
        expect(await evidenceOf(open(rig))).to.deep.include({ kind: 'status', status, from: 'registry' });
      });
    }
    it('with an error, whose codes, words and Retry-After are told', async () => {
      const rig = await serving((_request, response) => {
        response.writeHead(429, { 'retry-after': '12' });
        response.end('{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}');
      });
      const error = await failureOf(open(rig));
      expect(error).to.be.instanceOf(ExchangeError);
      expect(error).to.deep.include({
        phase: 'layers',
        detail: 'slow down',
        evidence: {
          kind: 'status',
          status: 429,
          from: 'registry',
          specCodes: ['TOOMANYREQUESTS'],
          retryAfterMs: 12_000,
        },
      });
    });
    it('with an error body without end or without a next byte, soon', async () => {
      const endless = await serving((_request, response) => {
        response.writeHead(500);
        const pump = (): void => {
          while (!response.destroyed && response.write('x'.repeat(65_536)));
          if (!response.destroyed) response.once('drain', pump);
        };
        pump();
      });
      expect(await evidenceOf(open(endless))).to.deep.include({ status: 500 });
      const stuck = await serving((_request, response) => {
        response.writeHead(500);
        response.write('{"errors":[{"code":"UNKNOWN"}');
      });
      expect(await evidenceOf(open(stuck, { firstByteMs: 300 }))).to.deep.include({ status: 500, specCodes: [] });
      await until(() => endless.transport.openSockets + stuck.transport.openSockets === 0, 'both sockets are ended');
    });
  });

  describe('that is not as long as it should be', () => {
    const head = (length: number): string => `HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n`;
    for (const arrived of [1, 150_000, 299_999]) {
      it(`is a lost connection after ${arrived} bytes, with its length announced or not`, async () => {
        const part = blob.subarray(0, arrived);
        const announced = Buffer.concat([Buffer.from(head(blob.length)), part]);
        const unknown = Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n'), part]);
        for (const bytes of [announced, unknown]) {
          expect(await evidenceOf(readVerbatim(bytes))).to.deep.include({
            kind: 'connection',
            code: 'closed',
            bytes: arrived,
          });
        }
      });
    }
    it('is a lost connection when it ends before its first byte', async () => {
      for (const bytes of [head(blob.length), 'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n']) {
        expect(await evidenceOf(readVerbatim(bytes))).to.deep.include({ kind: 'connection', code: 'closed', bytes: 0 });
      }
    });
    it('is wrong content when one byte more comes', async () => {
      const chunked = await serving((_request, response) => {
        response.write(blob);
        response.end('x');
      });
      const { body } = await open(chunked);
      expect(await evidenceOf(readAll(body))).to.deep.equal({
        kind: 'content',
        code: 'length-mismatch',
        from: 'registry',
      });
      await until(() => chunked.transport.openSockets === 0, 'its socket is ended');
    });
    it('delivers everything that arrived before it says so', async () => {
      const server = await started(
        startRawServer((socket) =>
          socket.once('data', () =>
            socket.end(Buffer.concat([Buffer.from(head(blob.length)), blob.subarray(0, 1_000)])),
          ),
        ),
      );
      const { body } = await open(openRig(server.authority));
      const read: Uint8Array[] = [];
      const evidence = await evidenceOf(
        (async () => {
          for (let chunk = await body.read(); chunk !== null; chunk = await body.read()) read.push(chunk);
        })(),
      );
      expect(evidence).to.deep.include({ kind: 'connection', bytes: 1_000 });
      expect(Buffer.concat(read).equals(blob.subarray(0, 1_000))).to.equal(true);
    });
  });

  describe('ends', () => {
    const dripping: Answer = (_request, response) => {
      response.writeHead(200, { 'content-length': blob.length });
      response.write('first');
    };
    it('when it is cancelled, and gives its slot and its socket back at once', async () => {
      const server = await started(startServer(dripping));
      const rig = openRig(server.authority, { registry: { maxConnections: 1 } });
      const { body } = await open(rig);
      await body.read();
      const waiting = evidenceOf(body.read());
      body.cancel();
      body.cancel();
      expect(await waiting).to.deep.equal({ kind: 'aborted' });
      await until(() => rig.transport.openSockets === 0, 'the socket is ended');
      (await open(rig)).body.cancel();
    });
    it("at an abort, with the signal's own reason, also for what had arrived already", async () => {
      const rig = await serving(dripping);
      const { body } = await open(rig);
      await body.read();
      const waiting = failureOf(body.read());
      const reason = { mine: 1 };
      rig.abort(reason);
      expect(await waiting).to.equal(reason);
      expect(await failureOf(body.read())).to.equal(reason);
      const whole = await serving((_request, response) => response.end('0123456789'));
      const answer = await open(whole, { size: 10 });
      whole.abort(reason);
      expect(await failureOf(answer.body.read())).to.equal(reason);
    });
    it('by its reader without harm: after the end a cancel does nothing', async () => {
      const server = await started(
        startServer((_request, response) => response.setHeader('content-length', blob.length).end(blob)),
      );
      const rig = openRig(server.authority);
      const { body } = await open(rig);
      await readAll(body);
      body.cancel();
      expect(await body.read()).to.equal(null);
      await readAll((await open(rig)).body);
      expect(server.accepted).to.equal(1);
    });
    it('with a reset, and says how much had arrived', async () => {
      let reset: () => void = () => undefined;
      const server = await started(
        startRawServer((socket) => {
          reset = () => resetSocket(socket);
          socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\nabc'));
        }),
      );
      const { body } = await open(openRig(server.authority));
      await body.read();
      const waiting = evidenceOf(body.read());
      reset();
      expect(await waiting).to.include({ kind: 'connection', code: 'reset', reused: false, bytes: 3 });
    });
  });

  describe('within layers.firstByteMs', () => {
    const late = { kind: 'limit', limit: 'layers.firstByteMs', value: 150, bytes: 0 };
    it('must have sent its first byte, not only its head', async () => {
      const silent = await started(startRawServer((socket) => socket.resume()));
      expect(await evidenceOf(open(openRig(silent.authority), { firstByteMs: 150 }))).to.deep.equal(late);
      const headOnly = await serving((_request, response) => {
        response.writeHead(200, { 'content-length': blob.length });
        response.flushHeaders();
      });
      expect(await evidenceOf(open(headOnly, { firstByteMs: 150 }))).to.deep.equal(late);
      await until(() => headOnly.transport.openSockets === 0, 'the socket is ended');
    });
    it('must have been connected to', async () => {
      const full = await started(startFullPort());
      // Who takes no connection may be out of reach: that is told, and not that it did not answer.
      expect(await evidenceOf(open(openRig(`127.0.0.1:${full.port}`), { firstByteMs: 150 }))).to.deep.equal({
        kind: 'connection',
        code: 'timed-out',
        reused: false,
        bytes: 0,
        lateMs: 0,
        scope: 'unproven',
      });
    });
    it('has its redirects counted', async () => {
      const silent = await started(startRawServer((socket) => socket.resume()));
      const rig = await serving((_request, response) => response.writeHead(307, { location: `${silent.url}/x` }).end());
      expect(await evidenceOf(open(rig, { firstByteMs: 150 }))).to.deep.equal(late);
    });
    it('has all the time it needs once the first byte is here', async () => {
      const rig = await serving((_request, response) => {
        response.writeHead(200, { 'content-length': 2 });
        response.write('a');
        setTimeout(() => response.end('b'), 400);
      });
      const { body } = await open(rig, { size: 2, firstByteMs: 150 });
      expect((await readAll(body)).toString()).to.equal('ab');
    });
    it('is not charged for a token request, which has a limit of its own', async () => {
      const tokens = await started(
        startServer((_request, response) => setTimeout(() => response.end('{"token":"t"}'), 400)),
      );
      const guarded: Answer = (request, response) => {
        if (request.headers.authorization === undefined) {
          response.writeHead(401, { 'www-authenticate': `Bearer realm="${tokens.url}/t"` }).end();
        } else response.end(blob);
      };
      const { body } = await open(await serving(guarded), { firstByteMs: 250 });
      expect((await readAll(body)).equals(blob)).to.equal(true);
      expect(await evidenceOf(open(await serving(guarded), { firstByteMs: 5_000, requestMs: 100 }))).to.deep.equal({
        kind: 'limit',
        limit: 'metadata.requestMs',
        value: 100,
        bytes: 0,
      });
    });
    it('is not charged for our own queue, whose end and beginning are told', async () => {
      const server = await started(startServer((_request, response) => response.end(blob)));
      const rig = openRig(server.authority, { registry: { maxConnections: 1 } });
      const first = await open(rig);
      const told: boolean[] = [];
      const second = open(rig, { firstByteMs: 250, onConnection: (holds) => told.push(holds) });
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect(server.seen).to.have.length(1);
      expect(told).to.deep.equal([false]);
      await readAll(first.body);
      expect((await readAll((await second).body)).equals(blob)).to.equal(true);
      expect(told).to.deep.equal([false, true]);
    });
    it("leaves the queue at an abort, and takes nobody's slot", async () => {
      const server = await started(startServer((_request, response) => response.end(blob)));
      const rig = openRig(server.authority, { registry: { maxConnections: 1 } });
      const first = await open(rig);
      const ending = new AbortController();
      const queued = failureOf(
        rig.client.openBlob({
          ...rig.context,
          signal: ending.signal,
          repository: 'team/app',
          digest,
          size: blob.length,
          from: 0,
          firstByteMs: 5_000,
        }),
      );
      ending.abort('enough');
      expect(await queued).to.equal('enough');
      await readAll(first.body);
      await readAll((await open(rig)).body);
      expect(server.seen).to.have.length(2);
    });
  });

  it('waits for a reader that waits for it: what a slow one makes it wait is told', async () => {
    const size = 8 * 1024 * 1024;
    const rig = await serving((_request, response) => {
      response.setHeader('content-length', size);
      response.end(bytesOf(size));
    });
    const { body } = await open(rig, { size });
    await until(() => body.bytes >= 256 * 1024, 'the buffer is full');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(body.bytes).to.be.below(1024 * 1024);
    expect(body.lateMs).to.be.within(200, 5_000);
    expect((await readAll(body)).length).to.equal(size);
  });

  it('shares its connections with the others of its registry, never more than allowed', async () => {
    let running = 0;
    let most = 0;
    const server = await started(
      startServer((_request, response) => {
        running += 1;
        most = Math.max(most, running);
        response.once('close', () => {
          running -= 1;
        });
        setImmediate(() => response.end(blob));
      }),
    );
    const rig = openRig(server.authority, { registry: { maxConnections: 3 } });
    await Promise.all(Array.from({ length: 20 }, async () => readAll((await open(rig)).body)));
    expect(most).to.be.at.most(3);
    expect(server.accepted).to.be.at.most(6);
    expect(server.seen).to.have.length(20);
  });
});
