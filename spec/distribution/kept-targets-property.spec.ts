import { getEventListeners } from 'node:events';
import type { ServerResponse } from 'node:http';
import { expect } from 'chai';
import fc from 'fast-check';
import { stateOf } from '../../lib/distribution/registry-state.js';
import { ExchangeError } from '../../lib/distribution/wire-error.js';
import { resetSocket } from '../../lib/testing/reset-socket.js';
import { startServer, type SeenRequest, type TestServer } from '../support/servers.js';
import { until } from '../support/until.js';
import { bytesOf, closeRigs, digestOfBytes, openRig, readAll } from './rig.js';

const apiAnswers = [
  'redirect',
  'redirect',
  'redirect',
  'serve',
  'missing',
  'unavailable',
  'denied',
  'reset',
  'silence',
] as const;
const storageAnswers = [
  'good',
  'good',
  'good',
  'refused',
  'gone',
  'error',
  'reset',
  'cut',
  'whole',
  'silence',
] as const;

/** One who wants a part, begins after some answers of the registry, and may leave after some. */
interface Reader {
  readonly from: number;
  readonly bytes: number;
  readonly leavesAfter: number | null;
}

describe('parts of a blob that are wanted at the same time', () => {
  const blob = bytesOf(20_000);
  const digest = digestOfBytes(blob);
  const other = digestOfBytes(Buffer.from('other'));
  const servers: TestServer[] = [];
  afterEach(async () => {
    expect(await closeRigs()).to.equal(0);
    await Promise.all(servers.splice(0).map((server) => server.close()));
  });

  /** Sends the head of an answer; returns what belongs into its body. */
  function startPart({ headers }: SeenRequest, response: ServerResponse): Buffer {
    const [range, first = '0', last = ''] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
    const part = blob.subarray(Number(first), last === '' ? blob.length : Number(last) + 1);
    const told = `bytes ${first}-${Number(first) + part.length - 1}/${blob.length}`;
    response.writeHead(range === undefined ? 200 : 206, {
      'content-length': part.length,
      ...(range === undefined ? {} : { 'content-range': told }),
    });
    return part;
  }

  function reset({ socket }: ServerResponse): void {
    if (socket !== null) resetSocket(socket);
  }

  it('are brought as they are, or fail, and leave nothing open, whatever the registry and its storage do', async function () {
    this.timeout(120_000);
    let api: readonly (typeof apiAnswers)[number][] = [];
    let storage: readonly (typeof storageAnswers)[number][] = [];
    let answered = 0;
    let onAnswered: () => void = () => undefined;

    const storageServer = await startServer((request, response) => {
      const [now = 'good', ...rest] = storage;
      storage = rest;
      answered += 1;
      onAnswered();
      if (now === 'silence') return;
      if (now === 'refused') response.writeHead(403).end('no');
      else if (now === 'gone') response.writeHead(404).end('no');
      else if (now === 'error') response.writeHead(503).end('no');
      else if (now === 'reset') reset(response);
      else if (now === 'whole') response.end(blob);
      else {
        const part = startPart(request, response);
        if (now === 'good') response.end(part);
        else response.write(part.subarray(0, part.length >> 1), () => reset(response));
      }
    });
    servers.push(storageServer);
    const registry = await startServer((request, response) => {
      const isOther = request.url.includes(other);
      const [now = 'redirect', ...rest] = isOther ? [] : api;
      if (!isOther) api = rest;
      answered += 1;
      onAnswered();
      if (now === 'silence') return;
      if (now === 'redirect') response.writeHead(307, { location: `${storageServer.url}/x?sig=${answered}` }).end();
      else if (now === 'serve') response.end(startPart(request, response));
      else if (now === 'reset') reset(response);
      else response.writeHead({ missing: 404, unavailable: 503, denied: 403 }[now]).end('no');
    });
    servers.push(registry);

    const readers = fc.array(
      fc.record<Reader>({
        from: fc.nat(blob.length - 1),
        bytes: fc.integer({ min: 1, max: blob.length }),
        leavesAfter: fc.option(fc.nat(6)),
      }),
      { minLength: 1, maxLength: 8 },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...apiAnswers), { maxLength: 6 }),
        fc.array(fc.constantFrom(...storageAnswers), { maxLength: 8 }),
        readers,
        fc.boolean(),
        async (apiScript, storageScript, wanted, isKnown) => {
          api = [];
          storage = [];
          const rig = openRig(registry.authority, { registry: { maxConnections: 4 } });
          const request = { ...rig.context, repository: 'team/app', size: blob.length, firstByteMs: 250 };
          if (isKnown) await readAll((await rig.client.openBlob({ ...request, digest: other, from: 0 })).body);
          api = apiScript;
          storage = storageScript;
          answered = 0;
          const leaving = wanted.map(({ leavesAfter }) => ({ controller: new AbortController(), leavesAfter }));
          onAnswered = () => {
            for (const { controller, leavesAfter } of leaving) {
              if (leavesAfter !== null && answered > leavesAfter) controller.abort('left');
            }
          };
          await Promise.all(
            wanted.map(async ({ from, bytes }, nth) => {
              const to = Math.min(from + bytes, blob.length);
              const signal = leaving[nth]?.controller.signal ?? rig.context.signal;
              try {
                const answer = await rig.client.openBlob({ ...request, digest, from, to, signal });
                const read = await readAll(answer.body);
                const end = answer.start === 0 && read.length === blob.length ? blob.length : to;
                expect(read.equals(blob.subarray(answer.start, end))).to.equal(true);
                expect(answer.start === from || answer.start === 0).to.equal(true);
              } catch (error) {
                if (signal.aborted) expect(error).to.equal('left');
                else expect(error).to.be.instanceOf(ExchangeError);
              }
              expect(getEventListeners(signal, 'abort')).to.have.length(0);
            }),
          );
          const { slots, blobSlots } = stateOf(rig.transport, rig.client.registry);
          expect([slots.held, slots.waiting, blobSlots.held, blobSlots.waiting]).to.deep.equal([0, 0, 0, 0]);
          // Whatever happened, the next one is served.
          api = [];
          storage = [];
          const after = await rig.client.openBlob({ ...request, digest, from: 0, firstByteMs: 10_000 });
          expect((await readAll(after.body)).equals(blob)).to.equal(true);
          await rig.transport.close();
          await until(() => rig.transport.openSockets === 0, 'no socket is left');
        },
      ),
      { numRuns: 20 },
    );
  });
});
