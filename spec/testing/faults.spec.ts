import { expect } from 'chai';
import {
  connection,
  type Fault,
  type FaultServer,
  layers,
  metadata,
  parseFault,
  ping,
  seededImage,
  startFaultProxy,
  startRegistryDouble,
  type TestImage,
  token,
} from '../../lib/testing/index.js';
import { isInvalidOptionError } from '../../lib/errors/invalid-option-error.js';
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';
import { ask, askInVain, type PlainAnswer } from './plain-client.js';
import { until } from '../support/until.js';

const sizeBytes = 100_000;
const middle: number = sizeBytes / 2;
const last: number = sizeBytes - 1;

/** Every constructor once, with all it takes. */
const everyFault: readonly Fault[] = [
  layers.noHeaders(),
  layers.hangUp({ times: 1 }),
  layers.delay({ ms: 10 }),
  layers.status(503, { retryAfter: 3, code: 'UNAVAILABLE', body: '', contentType: 'text/html', at: 'registry' }),
  layers.stall({ afterBytes: 6e6, repository: 'aptible/redis', object: 'sha256:00', method: 'GET' }),
  layers.reset({ afterShare: 0.3, between: [0, 1_000] }),
  layers.truncate({ afterBytes: 1, of: 'response' }),
  layers.drip({ afterBytes: 1, bytesPerSecond: 0.5, probability: 0.5, seed: 7 }),
  layers.wrongBytes({ atByte: 3 }),
  layers.wrongLength({ byBytes: -1 }),
  layers.contentEncoding('br'),
  layers.noContentLength({ framing: 'close' }),
  layers.redirectLoop(),
  layers.redirectTo('http://127.0.0.1:1/{path}', { status: 302 }),
  layers.missing({ after: 2 }),
  layers.wrongRange({ byBytes: -1, header: 'as-asked' }),
  layers.ignoreRange(),
  layers.shortRange({ maxBytes: 10 }),
  layers.unknownTotal(),
  layers.expiredRedirect(),
  metadata.noHeaders(),
  metadata.status(429, { retryAfter: 'Wed, 26 Jul 2017 18:20:00 GMT' }),
  metadata.malformedJson(),
  metadata.wrongDigestHeader(),
  metadata.noDigestHeader(),
  metadata.wrongContent(),
  metadata.html(),
  metadata.huge({ bytes: 10 }),
  token.status(401, { challenge: 'Basic realm="x"' }),
  token.stall(),
  token.malformedJson(),
  token.noToken(),
  token.html(),
  token.huge(),
  ping.noHeaders(),
  ping.status(500),
  connection.refuse({ at: 'storage', between: [5, 10] }),
  connection.reset({ times: 2 }),
  connection.blackhole(),
];

describe('faults', () => {
  for (const fault of everyFault) {
    it(`${fault.on} ${fault.kind} is a frozen value that survives JSON`, () => {
      expect(fault).to.be.frozen;
      expect(parseFault(JSON.parse(JSON.stringify(fault)))).to.deep.equal(fault);
    });
  }

  for (const [what, value, named] of [
    ['is no object', 'stall', 'fault'],
    ['has no group', { kind: 'stall' }, 'fault.on'],
    ['has an unknown group', { on: 'bytes', kind: 'stall' }, 'fault.on'],
    ['has no kind', { on: 'layers' }, 'fault.kind'],
    ['has a kind of another group', { on: 'metadata', kind: 'ignore-range' }, 'fault.kind'],
    ['has a field of another kind', { on: 'layers', kind: 'no-headers', afterBytes: 1 }, 'fault.afterBytes'],
    ['lacks what it needs', { on: 'layers', kind: 'drip' }, 'fault.bytesPerSecond'],
    ['has a negative count', { on: 'layers', kind: 'stall', afterBytes: -1 }, 'fault.afterBytes'],
    ['has a share above one', { on: 'layers', kind: 'stall', afterShare: 1.5 }, 'fault.afterShare'],
    ['has two positions', { on: 'layers', kind: 'stall', afterBytes: 1, afterShare: 0.5 }, 'fault.afterShare'],
    ['has a share of a response', { on: 'layers', kind: 'stall', afterShare: 0.5, of: 'response' }, 'fault.afterShare'],
    ['has two wrong bytes', { on: 'layers', kind: 'wrong-bytes', atByte: 1, atShare: 0.5 }, 'fault.atShare'],
    ['has an empty time', { on: 'layers', kind: 'stall', between: [5, 5] }, 'fault.between'],
    ['has a time that is no pair', { on: 'layers', kind: 'stall', between: 5 }, 'fault.between'],
    ['counts what nobody sees', { on: 'connection', kind: 'refuse', times: 1 }, 'fault.times'],
    ['strikes no times', { on: 'layers', kind: 'stall', times: 0 }, 'fault.times'],
  ] as const) {
    it(`names ${named} of a fault that ${what}`, () => {
      expect(() => parseFault(value))
        .to.throw()
        .that.satisfies((error: unknown) => isInvalidOptionError(error) && error.option === named);
    });
  }

  it('are refused with their place in the list', async () => {
    const registry = await startRegistryDouble();
    const malformed = { on: 'layers', kind: 'stall', afterBytes: -1 } as unknown as Fault;
    try {
      await registry.setFaults([layers.noHeaders()]);
      const error = await registry.setFaults([layers.stall(), malformed]).catch((reason: unknown) => reason);
      expect(error).to.include({ option: 'faults[1].afterBytes' });
      expect(registry.faults).to.deep.equal([layers.noHeaders()]);
    } finally {
      await registry.close();
    }
  });
});

for (const place of ['a registry double', 'a fault proxy'] as const) {
  describe(`faults at ${place}`, () => {
    const image: TestImage = seededImage({ bytes: sizeBytes });
    const layer = image.layers[0] as TestImage['layers'][number];
    const content = Buffer.concat([...layer.read()]);
    const blobPath = `/v2/aptible/redis/blobs/${layer.digest}`;
    const manifestPath = '/v2/aptible/redis/manifests/3.0';
    const servers: FaultServer[] = [];
    let server: FaultServer;

    before(async () => {
      const registry = await startRegistryDouble({ images: { 'aptible/redis:3.0': image } });
      servers.push(registry);
      if (place === 'a fault proxy') servers.push(await startFaultProxy(registry.url));
      server = servers.at(-1) as FaultServer;
    });
    after(async () => {
      for (const running of servers.splice(0).toReversed()) await running?.close();
    });

    const get = (path: string, headers: Readonly<Record<string, string>> = {}): Promise<PlainAnswer> =>
      ask(`${server.url}${path}`, {
        headers: { ...headers, ...(path === manifestPath ? { accept: image.mediaType } : {}) },
      });
    const getFrom = (start: number): Promise<PlainAnswer> => get(blobPath, { range: `bytes=${start}-` });

    for (const at of [0, 1, middle, last - 1, last]) {
      for (const kind of ['reset', 'truncate'] as const) {
        it(`${kind} after ${at} of ${sizeBytes} bytes sends those, under the headers of the whole`, async () => {
          await server.setFaults([layers[kind]({ afterBytes: at })]);
          const { status, headers, body, end } = await get(blobPath);
          expect([status, headers['content-length'], end]).to.deep.equal([200, String(sizeBytes), 'ECONNRESET']);
          expect(body.equals(content.subarray(0, at))).to.equal(true);
          expect(server.requests.at(-1)).to.include({ bytesSent: at, outcome: 'cut-by-fault' });
        });
      }

      it(`stall after ${at} of ${sizeBytes} bytes sends those and no more, until the client leaves`, async () => {
        await server.setFaults([layers.stall({ afterBytes: at })]);
        const { status, body, end } = await ask(`${server.url}${blobPath}`, { leaveAfterBytes: at });
        expect([status, end]).to.deep.equal([200, 'left']);
        expect(body.equals(content.subarray(0, at))).to.equal(true);
        await until(() => server.requests.at(-1)?.outcome !== 'open');
        expect(server.requests.at(-1)).to.include({ bytesSent: at, outcome: 'cut-by-fault' });
      });

      it(`wrong bytes at ${at} changes that byte alone, in whatever range it is asked for`, async () => {
        await server.setFaults([layers.wrongBytes({ atByte: at })]);
        const whole = await get(blobPath);
        expect(whole.end).to.equal('complete');
        expect(differences(whole.body, content)).to.deep.equal([at]);
        const part = await get(blobPath, { range: `bytes=${Math.max(0, at - 1)}-${at}` });
        expect(differences(part.body, content.subarray(Math.max(0, at - 1), at + 1))).to.have.length(1);
        if (at < last) expect((await getFrom(at + 1)).body.equals(content.subarray(at + 1))).to.equal(true);
      });
    }

    it('a position counts from the start of the blob, so that a resume behind it gets nothing', async () => {
      await server.setFaults([layers.truncate({ afterBytes: 60_000 })]);
      expect((await getFrom(50_000)).body.length).to.equal(10_000);
      const behind = await getFrom(60_000);
      expect([behind.status, behind.body.length, behind.end]).to.deep.equal([206, 0, 'ECONNRESET']);
    });

    it('a position can count from the start of each response', async () => {
      await server.setFaults([layers.truncate({ afterBytes: 60_000, of: 'response' })]);
      expect((await getFrom(10_000)).body.equals(content.subarray(10_000, 70_000))).to.equal(true);
      expect((await getFrom(50_000)).end).to.equal('complete');
    });

    it('a position can be a share of the blob', async () => {
      await server.setFaults([layers.truncate({ afterShare: 0.3 })]);
      expect((await get(blobPath)).body.length).to.equal(30_000);
      expect((await getFrom(10_000)).body.length).to.equal(20_000);
    });

    it('a cut behind the end cuts nothing', async () => {
      await server.setFaults([layers.truncate({ afterBytes: sizeBytes }), layers.reset({ afterBytes: sizeBytes + 1 })]);
      expect((await get(blobPath)).body.equals(content)).to.equal(true);
    });

    it('of several cuts the first in the blob counts', async () => {
      await server.setFaults([layers.truncate({ afterBytes: 900 }), layers.reset({ afterBytes: 500 })]);
      expect((await get(blobPath)).body.length).to.equal(500);
    });

    it('drip goes on slowly behind its position', async () => {
      await server.setFaults([layers.drip({ afterBytes: 90_000, bytesPerSecond: 40_000 })]);
      const startedMs = performance.now();
      const { body } = await get(blobPath);
      expect(body.equals(content)).to.equal(true);
      expect(performance.now() - startedMs).to.be.greaterThan(150);
    });

    it('no headers never answers, until the client leaves', async () => {
      await server.setFaults([layers.noHeaders()]);
      const leave = new AbortController();
      const waiting = askInVain(`${server.url}${blobPath}`, { signal: leave.signal });
      const count = server.requests.length;
      await until(() => server.requests.length > count);
      leave.abort();
      expect(await waiting).to.equal('ABORT_ERR');
      await until(() => server.requests.at(-1)?.outcome !== 'open');
      expect(server.requests.at(-1)).to.include({ status: null, bytesSent: 0, outcome: 'cut-by-fault' });
    });

    it('hang up closes the connection instead of an answer', async () => {
      await server.setFaults([layers.hangUp({ times: 1 })]);
      expect(await askInVain(`${server.url}${blobPath}`)).to.equal('ECONNRESET');
      expect((await get(blobPath)).status).to.equal(200);
    });

    it('delay lets the answer begin later, and adds to other faults', async () => {
      await server.setFaults([layers.delay({ ms: 60 }), layers.delay({ ms: 60 }), layers.status(503)]);
      const startedMs = performance.now();
      expect((await get(blobPath)).status).to.equal(503);
      expect(performance.now() - startedMs).to.be.greaterThan(115);
    });

    it('status answers with the error of the specification that goes with it', async () => {
      for (const [status, code] of [
        [401, 'UNAUTHORIZED'],
        [403, 'DENIED'],
        [404, 'BLOB_UNKNOWN'],
        [429, 'TOOMANYREQUESTS'],
        [503, 'UNKNOWN'],
      ] as const) {
        await server.setFaults([layers.status(status, { retryAfter: 7 })]);
        const answer = await get(blobPath);
        expect([answer.status, answer.headers['retry-after']]).to.deep.equal([status, '7']);
        expect(JSON.parse(answer.body.toString('utf8'))).to.have.nested.property('errors[0].code', code);
      }
    });

    it('status can carry any code, or any body', async () => {
      await server.setFaults([metadata.status(400, { code: 'NAME_INVALID' })]);
      expect((await get(manifestPath)).body.toString('utf8')).to.contain('NAME_INVALID');
      await server.setFaults([
        metadata.status(429, { body: 'Too Many Requests (HAP429).', retryAfter: 'Wed, 26 Jul 2017 18:20:00 GMT' }),
      ]);
      const { headers, body } = await get(manifestPath);
      expect(body.toString('utf8')).to.equal('Too Many Requests (HAP429).');
      expect(headers).to.include({
        'content-type': 'text/plain; charset=utf-8',
        'retry-after': 'Wed, 26 Jul 2017 18:20:00 GMT',
      });
    });

    it('missing answers 404 for what is there', async () => {
      await server.setFaults([layers.missing(), metadata.missing()]);
      for (const path of [blobPath, manifestPath]) expect((await get(path)).status).to.equal(404);
    });

    for (const byBytes of [-sizeBytes, -1, 1, 1_000]) {
      it(`wrong length sends ${byBytes} bytes more, and announces so`, async () => {
        await server.setFaults([layers.wrongLength({ byBytes })]);
        const { headers, body, end } = await get(blobPath);
        expect([headers['content-length'], body.length, end]).to.deep.equal([
          String(sizeBytes + byBytes),
          sizeBytes + byBytes,
          'complete',
        ]);
        expect(body.subarray(0, sizeBytes).equals(content.subarray(0, body.length))).to.equal(true);
      });
    }

    it('wrong length of a range fits its own Content-Range', async () => {
      await server.setFaults([layers.wrongLength({ byBytes: 5 })]);
      const { headers, body } = await getFrom(sizeBytes - 10);
      expect(headers['content-range']).to.equal(`bytes ${sizeBytes - 10}-${last + 5}/${sizeBytes + 5}`);
      expect(body.length).to.equal(15);
    });

    for (const [encoding, decode] of [
      ['gzip', gunzipSync],
      ['deflate', inflateSync],
      ['br', brotliDecompressSync],
    ] as const) {
      it(`content encoding ${encoding} really encodes`, async () => {
        await server.setFaults([layers.contentEncoding(encoding)]);
        const { headers, body } = await get(blobPath);
        expect(headers['content-encoding']).to.equal(encoding);
        expect(headers).not.to.have.property('content-length');
        expect(decode(body).equals(content)).to.equal(true);
      });
    }

    it('no content length sends chunks, or ends with the connection', async () => {
      for (const header of ['transfer-encoding', 'connection']) {
        await server.setFaults([layers.noContentLength({ framing: header === 'connection' ? 'close' : 'chunked' })]);
        const { headers, body, end } = await get(blobPath);
        expect(headers).not.to.have.property('content-length');
        expect(headers[header]).to.equal(header === 'connection' ? 'close' : 'chunked');
        expect([body.equals(content), end]).to.deep.equal([true, 'complete']);
      }
    });

    it('a body that ends with its connection cannot be told from one that was truncated', async () => {
      await server.setFaults([layers.noContentLength({ framing: 'close' }), layers.truncate({ afterBytes: middle })]);
      const { body, end } = await get(blobPath);
      expect([body.length, end]).to.deep.equal([middle, 'complete']);
    });

    it('wrong range sends other bytes and says so, or hides it', async () => {
      await server.setFaults([layers.wrongRange({ byBytes: 1 })]);
      const honest = await getFrom(100);
      expect([honest.status, honest.headers['content-range']]).to.deep.equal([206, `bytes 101-${last}/${sizeBytes}`]);
      expect(honest.body.equals(content.subarray(101))).to.equal(true);
      await server.setFaults([layers.wrongRange({ byBytes: -1, header: 'as-asked' })]);
      const hidden = await get(blobPath, { range: 'bytes=100-199' });
      expect(hidden.headers['content-range']).to.equal(`bytes 100-199/${sizeBytes}`);
      expect(hidden.body.equals(content.subarray(99, 199))).to.equal(true);
    });

    it('ignore range answers 200 with everything', async () => {
      await server.setFaults([layers.ignoreRange()]);
      const { status, headers, body } = await getFrom(100);
      expect([status, headers['content-range'], body.equals(content)]).to.deep.equal([200, undefined, true]);
    });

    it('short range answers with fewer bytes than asked, and says so', async () => {
      await server.setFaults([layers.shortRange({ maxBytes: 10 })]);
      const { status, headers, body } = await getFrom(100);
      expect([status, headers['content-range']]).to.deep.equal([206, `bytes 100-109/${sizeBytes}`]);
      expect(body.equals(content.subarray(100, 110))).to.equal(true);
      expect((await get(blobPath)).body.length).to.equal(sizeBytes);
    });

    it('unknown total puts a star in its place', async () => {
      await server.setFaults([layers.unknownTotal()]);
      const { headers, body } = await getFrom(100);
      expect([headers['content-range'], body.length]).to.deep.equal([`bytes 100-${last}/*`, sizeBytes - 100]);
    });

    it('a redirect loop leads to another URL each time', async () => {
      await server.setFaults([layers.redirectLoop()]);
      const seen = new Set<string>();
      let path = blobPath;
      for (let hop = 0; hop < 5; hop += 1) {
        const { status, headers } = await get(path);
        expect(status).to.equal(307);
        path = headers.location ?? '';
        seen.add(path);
      }
      expect(seen.size).to.equal(5);
    });

    it('a redirect leads where it says', async () => {
      await server.setFaults([layers.redirectTo('http://127.0.0.1:1{path}', { status: 302 })]);
      const { status, headers } = await get(blobPath);
      expect([status, headers.location]).to.deep.equal([302, `http://127.0.0.1:1${blobPath}`]);
    });

    it('an expired redirect is refused by the storage once, and good the next time', async () => {
      await server.setFaults([layers.expiredRedirect()]);
      const first = await get(blobPath);
      expect(first.headers.location).to.match(/^http:\/\/127\.0\.0\.1:\d+\/.*X-Amz-Signature=/);
      const refused = await ask(first.headers.location ?? '');
      expect([refused.status, refused.headers['content-type']]).to.deep.equal([403, 'application/xml']);
      expect(refused.body.toString('utf8')).to.contain('<Code>AccessDenied</Code>');
      expect((await get(blobPath)).status).to.equal(200);
      await server.setFaults([layers.expiredRedirect()]);
      expect((await get(blobPath)).status).to.equal(307);
    });

    for (const [name, fault, expected] of [
      ['malformed JSON', metadata.malformedJson(), { json: false, digest: image.digest }],
      ['a wrong digest header', metadata.wrongDigestHeader(), { json: true, digest: /^sha256:0123/ }],
      ['no digest header', metadata.noDigestHeader(), { json: true, digest: undefined }],
      ['wrong content', metadata.wrongContent(), { json: true, digest: image.digest }],
    ] as const) {
      it(`a manifest can have ${name}, framed as it should be`, async () => {
        await server.setFaults([fault]);
        const { status, headers, body, end } = await get(manifestPath);
        expect([status, headers['content-length'], end]).to.deep.equal([200, String(body.length), 'complete']);
        expect(isJson(body)).to.equal(expected.json);
        if (expected.digest instanceof RegExp) expect(headers['docker-content-digest']).to.match(expected.digest);
        else expect(headers['docker-content-digest']).to.equal(expected.digest);
        const isTrue = body.equals(image.top.bytes);
        expect(isTrue).to.equal(fault.kind.endsWith('digest-header'));
      });
    }

    it('a manifest can be a page of HTML', async () => {
      await server.setFaults([metadata.html()]);
      const { status, headers, body } = await get(manifestPath);
      expect([status, headers['content-type']]).to.deep.equal([200, 'text/html; charset=utf-8']);
      expect(body.toString('utf8')).to.match(/^<!DOCTYPE html>/);
    });

    for (const bytes of [undefined, 1_000_000]) {
      it(`a manifest can be valid JSON of ${bytes ?? 'over 4 MiB of'} bytes`, async () => {
        await server.setFaults([metadata.huge(bytes === undefined ? {} : { bytes })]);
        const { body, end } = await get(manifestPath);
        expect([body.length, end]).to.deep.equal([bytes ?? 5_000_000, 'complete']);
        expect(isJson(body)).to.equal(true);
      });
    }

    it('manifests are stalled, reset and dripped as blobs are', async () => {
      for (const fault of [metadata.truncate({ afterBytes: 100 }), metadata.reset({ afterBytes: 100 })]) {
        await server.setFaults([fault]);
        const { body, end } = await get(manifestPath);
        expect([body.length, end]).to.deep.equal([100, 'ECONNRESET']);
      }
    });

    it('ping, manifests and blobs fail apart from each other', async () => {
      const paths = ['/v2/', manifestPath, blobPath];
      for (const [index, fault] of [ping.status(500), metadata.status(500), layers.status(500)].entries()) {
        await server.setFaults([fault]);
        const statuses = await Promise.all(paths.map(async (path) => (await get(path)).status));
        expect(statuses).to.deep.equal(paths.map((_, at) => (at === index ? 500 : 200)));
      }
    });

    it('HEAD is struck too, without a body', async () => {
      await server.setFaults([metadata.malformedJson(), metadata.wrongContent(), metadata.wrongDigestHeader()]);
      const head = await ask(`${server.url}${manifestPath}`, { method: 'HEAD', headers: { accept: image.mediaType } });
      expect([head.status, head.body.length, head.end]).to.deep.equal([200, 0, 'complete']);
      expect(head.headers['docker-content-digest']).to.match(/^sha256:0123/);
    });

    it('what is being sent goes on as it began when the faults change', async () => {
      await server.setFaults([layers.drip({ afterBytes: 95_000, bytesPerSecond: 50_000 })]);
      const slow = get(blobPath);
      const count = server.requests.length;
      await until(() => server.requests.length > count && (server.requests.at(-1)?.bytesSent ?? 0) > 0);
      await server.setFaults([layers.status(503)]);
      expect((await get(blobPath)).status).to.equal(503);
      expect((await slow).body.equals(content)).to.equal(true);
    });
  });
}

/** Where two byte strings differ; a missing byte differs. */
function differences(a: Uint8Array, b: Uint8Array): readonly number[] {
  const found: number[] = [];
  for (let at = 0; at < Math.max(a.length, b.length); at += 1) if (a[at] !== b[at]) found.push(at);
  return found;
}

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}
