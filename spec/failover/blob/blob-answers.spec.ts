import { expect } from 'chai';
import { fetchBlob } from '../../../lib/failover/blob/fetch-blob.js';
import { isPullExhaustedError } from '../../../lib/errors/pull-exhausted-error.js';
import { connection, type Fault, layers } from '../../../lib/testing/index.js';
import { startVerbatimServer, type TestServer } from '../../support/servers.js';
import {
  blobRequests,
  bytesSent,
  fetchFrom,
  mid,
  offsets,
  right,
  size,
  starts,
  wanted,
} from '../support/blob-fetch.js';
import { closeHeartRigs, openHeartRig } from '../support/heart-rig.js';
import { memorySink } from '../support/memory-sink.js';
import { failureOf } from '../../support/failure-of.js';
import { until } from '../../support/until.js';

describe('an answer to a blob request', () => {
  afterEach(closeHeartRigs);

  describe('that brings no byte sends the next registry in for the whole blob', () => {
    const answers: readonly { readonly name: string; readonly fault: Fault; readonly attempts: readonly string[] }[] = [
      { name: 'no headers', fault: layers.noHeaders(), attempts: ['registry-storage/first-byte-late ill'] },
      { name: 'a hang-up', fault: layers.hangUp(), attempts: ['registry-storage/connection-closed ill'] },
      {
        name: 'a refused connection',
        fault: connection.refuse(),
        attempts: ['registry-storage/connection-refused ill'],
      },
      { name: 'a blackhole', fault: connection.blackhole(), attempts: ['registry-storage/first-byte-late ill'] },
      { name: 'a 500', fault: layers.status(500), attempts: ['registry-storage/http-500 ill'] },
      { name: 'a 502', fault: layers.status(502), attempts: ['registry-storage/http-502 ill'] },
      { name: 'a 503', fault: layers.status(503), attempts: ['registry-storage/http-503 ill'] },
      { name: 'a 504', fault: layers.status(504), attempts: ['registry-storage/http-504 ill'] },
      { name: 'a 429', fault: layers.status(429, { retryAfter: 60 }), attempts: ['rate-limit/http-429 limited'] },
      { name: 'a 404', fault: layers.missing(), attempts: ['not-replicated/http-404 next'] },
      { name: 'a 403', fault: layers.status(403), attempts: ['credentials/http-403 next'] },
      { name: 'a 401', fault: layers.status(401), attempts: ['credentials/http-401 next'] },
      { name: 'a redirect loop', fault: layers.redirectLoop(), attempts: ['registry-api/redirect-loop ill'] },
      { name: 'a byte too many announced', fault: layers.wrongLength(), attempts: ['content/length-mismatch ill'] },
      {
        name: 'a byte too few announced',
        fault: layers.wrongLength({ byBytes: -1 }),
        attempts: ['content/length-mismatch ill'],
      },
      { name: 'gzip', fault: layers.contentEncoding('gzip'), attempts: ['content/content-encoded ill'] },
      { name: 'brotli', fault: layers.contentEncoding('br'), attempts: ['content/content-encoded ill'] },
      {
        name: 'a 408 again and again',
        fault: layers.status(408),
        attempts: Array.from({ length: 3 }, () => 'registry-storage/http-408 again'),
      },
    ];
    for (const { name, fault, attempts } of answers) {
      it(name, async () => {
        const { rig, pull } = await fetchFrom([[fault], []]);
        expect(pull.attempts).to.deep.equal(attempts.map((attempt) => `A ${attempt}`));
        expect(pull.ill).to.deep.equal(attempts.some((attempt) => attempt.endsWith(' ill')) ? ['A layers'] : []);
        expect(starts(rig, 'B')).to.deep.equal([0]);
        expect(rig.double('B').bytesSent).to.equal(size);
        expect(pull.sources.failovers.map(({ bytesKept }) => bytesKept)).to.deep.equal([0]);
      });
    }
  });

  it('that is transient once is asked for once more, and nobody else is', async () => {
    const { rig, pull } = await fetchFrom([[layers.status(408, { times: 1 })], []]);
    expect(pull.attempts).to.deep.equal(['A registry-storage/http-408 again']);
    expect(rig.double('B').requests).to.deep.equal([]);
  });

  for (const framing of ['chunked', 'close'] as const) {
    it(`that announces no length (${framing}) is good when the bytes are`, async () => {
      const { rig, pull } = await fetchFrom([[layers.noContentLength({ framing })], []]);
      expect(pull.attempts).to.deep.equal([]);
      expect(rig.double('B').requests).to.deep.equal([]);
    });

    for (const { name, at } of offsets) {
      it(`that announces no length (${framing}) and is cut off at ${name} is gone on with there`, async () => {
        const { rig, pull } = await fetchFrom([
          [layers.noContentLength({ framing }), layers.truncate({ afterBytes: at })],
          [],
        ]);
        expect(pull.attempts).to.have.length(1);
        expect(starts(rig, 'B')).to.deep.equal([at]);
        expect(bytesSent(rig)).to.deep.equal([at, size - at]);
      });
    }
  }

  describe('that has all bytes', () => {
    const servers: TestServer[] = [];
    afterEach(() => Promise.all(servers.splice(0).map((server) => server.close())));

    for (const { name, end } of [
      { name: 'but never says that it ends', end: '' },
      { name: 'and then more', end: '5\r\nextra\r\n' },
      { name: 'and then garbage', end: 'no chunk at all\r\n' },
    ]) {
      it(`${name} is enough`, async () => {
        const server = await startVerbatimServer(
          Buffer.concat([
            Buffer.from(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${size.toString(16)}\r\n`),
            right,
            Buffer.from(`\r\n${end}`),
          ]),
          'keep',
        );
        servers.push(server);
        const { rig, pull } = await fetchFrom([{ host: server.authority }, []]);
        expect(pull.attempts).to.deep.equal([]);
        expect(rig.double('B').requests).to.deep.equal([]);
        await until(() => server.connections === 0, 'the connection is not kept');
      });
    }
  });

  describe('to a request for the rest', () => {
    const rests = offsets.filter(({ at }) => at > 0);
    const restFrom = (fault: Fault, at: number = mid): readonly (readonly Fault[])[] => [
      [layers.truncate({ afterBytes: at })],
      [fault],
      [],
    ];

    it('may be the whole blob: what is here already is passed over', async () => {
      for (const { at } of rests) {
        const { rig, pull } = await fetchFrom([[layers.truncate({ afterBytes: at })], [layers.ignoreRange()], []]);
        expect(pull.attempts).to.have.length(1);
        expect(starts(rig, 'B')).to.deep.equal([at]);
        expect(bytesSent(rig)).to.deep.equal([at, size, 0]);
        expect(pull.sources.failovers.map(({ bytesKept }) => bytesKept)).to.deep.equal([at]);
        await closeHeartRigs();
      }
    });

    it('may be the whole blob, which fails before it brings anything new', async () => {
      const { rig, pull } = await fetchFrom([
        [layers.truncate({ afterBytes: mid })],
        [layers.ignoreRange(), layers.truncate({ afterBytes: mid - 1 })],
        [],
      ]);
      expect(pull.attempts).to.have.length(2);
      expect(starts(rig, 'C')).to.deep.equal([mid]);
      // B brought nothing that was missing: the work went from A to C.
      expect(pull.sources.failovers.map(({ from, to }) => [rig.nameOf(from), rig.nameOf(to)])).to.deep.equal([
        ['A', 'C'],
      ]);
    });

    it('may say nothing of the total', async () => {
      for (const { at } of rests) {
        const { rig, pull } = await fetchFrom(restFrom(layers.unknownTotal(), at));
        expect(pull.attempts).to.have.length(1);
        expect(starts(rig, 'B')).to.deep.equal([at]);
        expect(bytesSent(rig)).to.deep.equal([at, size - at, 0]);
        await closeHeartRigs();
      }
    });

    it('may be shorter than asked: the next request goes on after it', async () => {
      for (const { at } of rests) {
        const { rig, pull } = await fetchFrom(restFrom(layers.shortRange({ maxBytes: 10_000 }), at));
        expect(pull.attempts).to.have.length(1);
        expect(bytesSent(rig)).to.deep.equal([at, size - at, 0]);
        expect(starts(rig, 'B')).to.deep.equal(
          Array.from({ length: Math.ceil((size - at) / 10_000) }, (_, index) => at + index * 10_000),
        );
        await closeHeartRigs();
      }
    });

    for (const byBytes of [1, -1, 1_000]) {
      it(`is wrong when it begins ${byBytes} bytes later and says so`, async () => {
        for (const { at } of rests) {
          const { rig, pull } = await fetchFrom(restFrom(layers.wrongRange({ byBytes }), at));
          // Behind the last byte there is no range.
          const code = at + byBytes >= size ? 'http-416' : 'range-mismatch';
          expect(pull.attempts.slice(1)).to.deep.equal([`B content/${code} ill`]);
          expect(starts(rig, 'C')).to.deep.equal([at]);
          expect(rig.double('C').bytesSent).to.equal(size - at);
          await closeHeartRigs();
        }
      });

      it(`is wrong when it begins ${byBytes} bytes later and does not say so`, async () => {
        for (const { at } of rests) {
          const { pull } = await fetchFrom(restFrom(layers.wrongRange({ byBytes, header: 'as-asked' }), at));
          expect(pull.ill).to.include('B layers').and.not.include('C layers');
          await closeHeartRigs();
        }
      });
    }

    it('is wrong with a Content-Encoding', async () => {
      const { rig, pull } = await fetchFrom(restFrom(layers.contentEncoding('gzip')));
      expect(pull.attempts.slice(1)).to.deep.equal(['B content/content-encoded ill']);
      expect(starts(rig, 'C')).to.deep.equal([mid]);
    });

    it('is wrong when it is a 416', async () => {
      const { rig, pull } = await fetchFrom(restFrom(layers.status(416)));
      expect(pull.attempts.slice(1)).to.deep.equal(['B content/http-416 ill']);
      expect(starts(rig, 'C')).to.deep.equal([mid]);
    });
  });

  describe('that redirects', () => {
    it('to a signed URL that has expired is asked for once more, and nobody else is', async () => {
      const { rig, pull } = await fetchFrom([{ redirects: true, faults: [layers.expiredRedirect()] }, []]);
      expect(pull.attempts).to.deep.equal(['A registry-storage/http-403 again']);
      expect(blobRequests(rig, 'A').map(({ kind, status }) => `${kind} ${status}`)).to.deep.equal([
        'blob 307',
        'storage 403',
        'blob 307',
        'storage 200',
      ]);
      expect(rig.double('B').requests).to.deep.equal([]);
    });

    it('to a storage that refuses the fresh URL too is ill, and left', async () => {
      for (const status of [401, 403, 404]) {
        const { rig, pull } = await fetchFrom([
          { redirects: true, faults: [layers.status(status, { at: 'storage' })] },
          [],
        ]);
        expect(pull.attempts).to.deep.equal([
          `A registry-storage/http-${status} again`,
          `A registry-storage/http-${status} ill`,
        ]);
        expect(blobRequests(rig, 'A')).to.have.length(4);
        expect(rig.double('B').bytesSent).to.equal(size);
        await closeHeartRigs();
      }
    });

    for (const { name, at } of offsets) {
      it(`to a storage that stalls at ${name} is gone on with from there`, async () => {
        const { rig, pull } = await fetchFrom([
          { redirects: true, faults: [layers.stall({ afterBytes: at })] },
          { redirects: true },
        ]);
        expect(pull.attempts).to.deep.equal([`A registry-storage/${at === 0 ? 'first-byte-late' : 'stalled'} ill`]);
        expect(bytesSent(rig)).to.deep.equal([at, size - at]);
      });
    }
  });

  it('that nobody understands is no illness: the next registry is asked', async () => {
    const rig = await openHeartRig({ registries: [[], []] });
    const [first] = rig.candidates;
    if (first === undefined) throw new Error('there is a first');
    Object.assign(first, {
      client: { ...first.client, openBlob: () => Promise.reject(new TypeError('a defect of this library')) },
    });
    const pull = rig.openPull();
    await fetchBlob(pull.context, wanted, memorySink());
    expect(pull.attempts).to.deep.equal(['A host-process/unexpected next']);
    expect(pull.ill).to.deep.equal([]);
  });

  it('that nobody gives right ends with every attempt, in the order tried', async () => {
    const rig = await openHeartRig({ registries: [[layers.status(500)], [layers.missing()], [layers.status(502)]] });
    const pull = rig.openPull();
    const sink = memorySink();
    const error = await failureOf(fetchBlob(pull.context, wanted, sink));
    if (!isPullExhaustedError(error)) throw error;
    expect(error.attempts).to.deep.equal(pull.sources.attempts);
    const round = ['A registry-storage/http-500 ill', 'C registry-storage/http-502 ill'];
    expect(pull.attempts).to.deep.equal([
      'A registry-storage/http-500 ill',
      'B not-replicated/http-404 next',
      'C registry-storage/http-502 ill',
      ...round,
      ...round,
    ]);
    expect(error.attempts.every(({ phase }) => phase === 'layers')).to.equal(true);
    expect(sink.calls).to.deep.equal([]);
  });
});
