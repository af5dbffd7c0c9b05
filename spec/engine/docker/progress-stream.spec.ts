import { expect } from 'chai';
import fc from 'fast-check';
import type { EngineFailure } from '../../../lib/engine/docker/engine-failure.js';
import { type EngineProgress, readProgress } from '../../../lib/engine/docker/progress-stream.js';
import { failureOf } from '../../support/failure-of.js';

interface Read {
  readonly lines: readonly EngineProgress[];
  readonly unknown: readonly string[];
  readonly failure: EngineFailure | null;
}

async function read(chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<Read> {
  const lines: EngineProgress[] = [];
  const unknown: string[] = [];
  let failure: EngineFailure | null = null;
  async function* source(): AsyncGenerator<Uint8Array> {
    yield* chunks;
  }
  try {
    for await (const line of readProgress(source(), { onUnknown: (text) => unknown.push(text) })) lines.push(line);
  } catch (error) {
    failure = error as EngineFailure;
  }
  return { lines, unknown, failure };
}

const readText = (...texts: readonly string[]): Promise<Read> => read(texts.map((text) => Buffer.from(text)));

const plain = (status: string, id: string | null = null): EngineProgress => ({
  status,
  id,
  current: null,
  total: null,
  unit: 'bytes',
});

/** What 20.10, 26.1, 28.5 and Podman 4.3 and 5.4 wrote. */
const spoken: readonly (readonly [string, EngineProgress])[] = [
  ['{"status":"Pulling from aptible/redis","id":"3.0"}', plain('Pulling from aptible/redis', '3.0')],
  ['{"status":"Pulling fs layer","progressDetail":{},"id":"5419c5bb976f"}', plain('Pulling fs layer', '5419c5bb976f')],
  [
    String.raw`{"status":"Downloading","progressDetail":{"current":36445,"total":2000000},"progress":"[\u003e   ]  36.45kB/2MB","id":"723abf2d3598"}`,
    { ...plain('Downloading', '723abf2d3598'), current: 36_445, total: 2_000_000 },
  ],
  [
    '{"status":"Downloading","progressDetail":{"current":36445},"id":"723abf2d3598"}',
    { ...plain('Downloading', '723abf2d3598'), current: 36_445 },
  ],
  [
    '{"status":"Downloading","progressDetail":{"current":36445,"total":-1},"id":"723abf2d3598"}',
    { ...plain('Downloading', '723abf2d3598'), current: 36_445 },
  ],
  [
    '{"status":"Extracting","progressDetail":{"current":3,"units":"s"},"id":"723abf2d3598"}',
    { ...plain('Extracting', '723abf2d3598'), current: 3, unit: 'seconds' },
  ],
  [
    '{"status":"Download complete","progressDetail":{"hidecounts":true},"id":"723abf2d3598"}',
    plain('Download complete', '723abf2d3598'),
  ],
  [
    '{"status":"Status: Downloaded newer image for quay.io/aptible/redis:3.0"}',
    plain('Status: Downloaded newer image for quay.io/aptible/redis:3.0'),
  ],
  [
    `{"status":"Pulling fs layer","progressDetail":{},"id":"${'ab'.repeat(32)}"}`,
    plain('Pulling fs layer', 'abababababab'),
  ],
  [`{"stream":"Copying blob sha256:${'ab'.repeat(32)}\\n"}`, plain('Copying blob', 'abababababab')],
  ['{"stream":"Storing signatures\\n"}', plain('Storing signatures')],
  ['{"stream":"Loaded image: quay.io/aptible/redis:3.0\\n"}', plain('Loaded image: quay.io/aptible/redis:3.0')],
  [`{"images":["${'ab'.repeat(32)}"],"id":"${'ab'.repeat(32)}"}`, plain('', 'abababababab')],
];

describe('What an engine says while it pulls', () => {
  it('is read from the lines of every engine', async () => {
    for (const [line, progress] of spoken) {
      expect(await readText(`${line}\r\n`), line).to.deep.equal({ lines: [progress], unknown: [], failure: null });
    }
  });

  it('is the same wherever its chunks are cut, within a character too', async () => {
    const text = '{"status":"Lädt 📦 herunter","id":"äöü"}\r\n\n{"status":"Ende"}\n';
    const bytes = Buffer.from(text);
    const expected = [plain('Lädt 📦 herunter', 'äöü'), plain('Ende')];
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const { lines, failure } = await read([bytes.subarray(0, cut), bytes.subarray(cut)]);
      expect(lines, `cut at ${cut}`).to.deep.equal(expected);
      expect(failure).to.equal(null);
    }
    expect((await read([...bytes].map((byte) => Uint8Array.of(byte)))).lines).to.deep.equal(expected);
  });

  it('is read from chunks whose memory is used again for the next one', async () => {
    const shared = Buffer.alloc(4);
    async function* reusing(): AsyncGenerator<Uint8Array> {
      const bytes = Buffer.from('{"status":"one line in many chunks"}\n');
      for (let at = 0; at < bytes.length; at += shared.length) {
        const length = bytes.copy(shared, 0, at, at + shared.length);
        yield shared.subarray(0, length);
      }
    }
    expect((await read(reusing())).lines).to.deep.equal([plain('one line in many chunks')]);
  });

  it('leaves out lines that mean nothing, and tells of them', async () => {
    const lines = ['not json', '[1]', '"text"', 'null', '{}', '{"aux":{"ID":"x"}}', '{"status":5}', '{"status":""}'];
    const found = await readText(`${lines.join('\n')}\n{"status":"known"}\n`);
    expect(found).to.deep.equal({ lines: [plain('known')], unknown: lines, failure: null });
  });

  it('takes no number that is none', async () => {
    for (const current of ['"5"', '-1', '1.5', '1e300', 'null', 'true']) {
      const { lines } = await readText(`{"status":"Downloading","progressDetail":{"current":${current}}}\n`);
      expect(lines, current).to.deep.equal([plain('Downloading')]);
    }
  });

  it('fails with the words of an error line, and reads no further', async () => {
    const lines = [
      '{"errorDetail":{"message":"manifest unknown"},"error":"manifest unknown"}',
      '{"errorDetail":{"code":404,"message":"manifest unknown"}}',
      '{"error":"manifest unknown"}',
      '{"progressDetail":{},"errorDetail":{"message":"manifest unknown"},"error":"something else"}',
    ];
    for (const line of lines) {
      const { lines: before, failure } = await readText(`{"status":"Waiting"}\n${line}\n{"status":"after"}\n`);
      expect(before, line).to.deep.equal([plain('Waiting')]);
      expect(failure, line).to.include({ name: 'EngineFailure', text: 'manifest unknown', fault: 'missing' });
      expect(failure?.isLost).to.equal(false);
    }
  });

  it('fails on an error without words', async () => {
    for (const line of ['{"errorDetail":{}}', '{"error":""}', '{"errorDetail":{"message":""},"error":""}']) {
      expect((await readText(`${line}\n`)).failure, line).to.include({
        name: 'EngineFailure',
        text: '',
        isLost: false,
      });
    }
  });

  it('takes a last line without an end for what it is when it is whole', async () => {
    expect((await readText('{"status":"Status: done"}')).lines).to.deep.equal([plain('Status: done')]);
    const { failure } = await readText('{"error":"no space left on device"}');
    expect(failure).to.include({ fault: 'disk', isLost: false });
  });

  it('is lost when it ends in the middle of a line, whose half is not repeated', async () => {
    const line = '{"errorDetail":{"message":"unauthorized: a secret word"},"error":"unauthorized"}';
    for (const length of [1, 2, Math.floor(line.length / 2), line.length - 1]) {
      const { lines, failure } = await readText(`{"status":"Waiting"}\n${line.slice(0, length)}`);
      expect(lines).to.deep.equal([plain('Waiting')]);
      expect(failure, `${length} characters`).to.include({ fault: 'daemon', isLost: true });
      expect(failure?.message).not.to.include('secret');
    }
  });

  it('is lost when its source fails, also between two lines', async () => {
    for (const text of ['', '{"status":"Waiting"}\n', '{"status":"Wai']) {
      async function* breaking(): AsyncGenerator<Uint8Array> {
        yield Buffer.from(text);
        throw Object.assign(new Error('aborted'), { code: 'ECONNRESET' });
      }
      const { failure } = await read(breaking());
      expect(failure, JSON.stringify(text)).to.include({ isLost: true, fault: 'daemon' });
    }
  });

  it('passes over a line that is far too long, and keeps no more of it than it may', async () => {
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('{"status":"');
      const piece = Buffer.alloc(64 * 1024, 'x');
      for (let count = 0; count < 2_000; count += 1) yield piece;
      yield Buffer.from('"}\n{"status":"after"}\n');
    }
    global.gc?.();
    const before = process.memoryUsage().arrayBuffers;
    const { lines, unknown, failure } = await read(endless());
    expect(process.memoryUsage().arrayBuffers - before).to.be.below(64 * 1024 * 1024);
    expect(failure).to.equal(null);
    expect(lines).to.deep.equal([plain('after')]);
    expect(unknown).to.have.length(1);
    expect(unknown[0]?.length).to.be.below(500);
  });

  it('knows an error whose text is far too long', async () => {
    const page = `denied: <html>${'<p>go away</p>'.repeat(40_000)}`;
    for (const line of [
      JSON.stringify({ errorDetail: { message: page }, error: page }),
      JSON.stringify({ progressDetail: {}, errorDetail: { code: 403, message: page }, error: page }),
      JSON.stringify({ error: page }),
    ]) {
      const { failure } = await readText(`${line}\n`);
      expect(failure?.text, line.slice(0, 60)).to.match(/^denied: <html><p>go away/);
      expect(failure?.isLost).to.equal(false);
    }
  });

  it('reads a line of 256 KiB whole, and one byte more not', async () => {
    const frame = '{"status":""}'.length;
    for (const [length, count] of [
      [256 * 1024, 1],
      [256 * 1024 + 1, 0],
    ] as const) {
      const status = 's'.repeat(length - frame);
      const { lines } = await readText(`{"status":"${status}"}\n`);
      expect(lines.map((line) => line.status.length)).to.deep.equal(count === 1 ? [status.length] : []);
    }
  });

  it('ends its source when nobody reads on', async () => {
    let ended = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield Buffer.from('{"status":"again"}\n');
      } finally {
        ended = true;
      }
    }
    for await (const line of readProgress(source())) {
      expect(line.status).to.equal('again');
      break;
    }
    expect(ended).to.equal(true);
  });

  it('gives a failure of its own kind through as it is', async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('{"error":"toomanyrequests: slow down"}\n');
    }
    async function* nested(): AsyncGenerator<Uint8Array> {
      for await (const line of readProgress(failing())) yield Buffer.from(line.status);
    }
    const error = await failureOf(readProgress(nested()).next());
    expect(error).to.include({ fault: 'rate-limit', isLost: false });
  });

  it('is what was written, however it is cut and whatever stands in between', async () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((one) => one.trim() !== '');
    await fc.assert(
      fc.asyncProperty(
        fc.array(text, { maxLength: 8 }),
        fc.array(fc.constantFrom('\n', '\r\n', 'junk\n', '{"aux":{}}\n', ' \n'), { minLength: 8, maxLength: 8 }),
        fc.array(fc.nat(400), { maxLength: 10 }),
        async (statuses, noise, cuts) => {
          const document = statuses.map((status, at) => `${JSON.stringify({ status })}\n${noise[at]}`).join('');
          const bytes = Buffer.from(document);
          const places = [0, ...cuts.filter((at) => at < bytes.length).toSorted((a, b) => a - b), bytes.length];
          const chunks = places.slice(1).map((end, at) => bytes.subarray(places[at], end));
          const { lines, failure } = await read(chunks);
          expect(failure).to.equal(null);
          expect(lines.map(({ status }) => status)).to.deep.equal(statuses);
        },
      ),
      { numRuns: 200 },
    );
  });
});
