import { resetSocket } from '../../lib/testing/reset-socket.js';
import { getEventListeners } from 'node:events';
import { expect } from 'chai';
import fc from 'fast-check';
import { ExchangeError } from '../../lib/distribution/wire-error.js';
import { startRawServer, startServer } from '../support/servers.js';
import { bytesOf, closeRigs, digestOfBytes, openRig, readAll, useServers, type Rig } from './rig.js';
import { failureOf } from '../support/failure-of.js';
import { until } from '../support/until.js';

describe('an exchange', () => {
  const started = useServers();
  const blob = bytesOf(40_000);
  const digest = digestOfBytes(blob);
  const open = ({ client, context }: Rig): ReturnType<typeof client.openBlob> =>
    client.openBlob({ ...context, repository: 'team/app', digest, size: blob.length, from: 0, firstByteMs: 5_000 });
  const timers = (): number => process.getActiveResourcesInfo().filter((each) => each === 'Timeout').length;

  it('leaves no listener, no timer and no slot behind, however it ends', async () => {
    const tokens = await started(startServer((_request, response) => response.end('{"token":"t"}')));
    const storage = await started(startServer((_request, response) => response.end(blob)));
    const server = await started(
      startServer((request, response) => {
        if (request.headers.authorization === undefined) {
          response.writeHead(401, { 'www-authenticate': `Bearer realm="${tokens.url}/t"` }).end();
        } else if (request.url.includes('/missing')) response.writeHead(404).end('{}');
        else if (request.url.includes('/blobs/')) response.writeHead(307, { location: `${storage.url}/b` }).end();
        else response.end('{}');
      }),
    );
    const before = timers();
    const rig = openRig(server.authority, { registry: { maxConnections: 1 } });
    for (let round = 0; round < 3; round += 1) {
      await rig.client.getManifest({ ...rig.context, repository: 'team/app', reference: '1' });
      await failureOf(rig.client.getManifest({ ...rig.context, repository: 'team/app', reference: 'missing' }));
      await readAll((await open(rig)).body);
      const cancelled = await open(rig);
      await cancelled.body.read();
      cancelled.body.cancel();
    }
    expect(getEventListeners(rig.context.signal, 'abort')).to.have.length(0);
    await until(() => timers() <= before, 'no timer is left');
  });

  it('leaves no listener on a signal that ends many at once', async () => {
    const server = await started(startServer(() => undefined));
    const rig = openRig(server.authority, { registry: { maxConnections: 5 } });
    const all = Array.from({ length: 12 }, () => failureOf(open(rig)));
    await until(() => server.seen.length === 4, 'four are asked for');
    rig.abort('enough');
    expect(await Promise.all(all)).to.deep.equal(Array.from({ length: 12 }, () => 'enough'));
    expect(getEventListeners(rig.context.signal, 'abort')).to.have.length(0);
    await until(() => rig.transport.openSockets === 0, 'no socket is left');
  });

  it('brings exactly the blob, or an error that says otherwise, whatever the peer does with the body', async () => {
    interface Behaviour {
      readonly framing: 'length' | 'chunked' | 'close';
      readonly pieces: readonly number[];
      readonly sent: number;
      readonly end: 'close' | 'reset';
    }
    let behaviour: Behaviour | null = null;
    const server = await started(
      startRawServer((socket) => {
        socket.once('data', () => void misbehave(socket, behaviour as Behaviour));
      }),
    );
    async function misbehave(socket: Parameters<typeof resetSocket>[0], now: Behaviour): Promise<void> {
      const body = Buffer.concat([blob, blob]).subarray(0, now.sent);
      const head = {
        length: `content-length: ${blob.length}`,
        chunked: 'transfer-encoding: chunked',
        close: 'connection: close',
      }[now.framing];
      socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n`);
      for (let at = 0, turn = 0; at < body.length; turn += 1) {
        const piece = body.subarray(at, at + (now.pieces[turn % now.pieces.length] ?? 1));
        at += piece.length;
        socket.write(
          now.framing === 'chunked'
            ? Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')])
            : piece,
        );
        await new Promise((resolve) => setImmediate(resolve));
      }
      if (now.framing === 'chunked' && now.end === 'close') socket.write('0\r\n\r\n');
      if (now.end === 'close') socket.end();
      else resetSocket(socket);
    }
    const behaviours = fc.record({
      framing: fc.constantFrom('length', 'chunked', 'close'),
      pieces: fc.array(fc.integer({ min: 900, max: 20_000 }), { minLength: 1, maxLength: 4 }),
      sent: fc.oneof(fc.constant(blob.length), fc.integer({ min: 0, max: blob.length + 5_000 })),
      end: fc.constantFrom('close', 'reset'),
    }) as fc.Arbitrary<Behaviour>;
    await fc.assert(
      fc.asyncProperty(behaviours, async (chosen) => {
        behaviour = chosen;
        const rig = openRig(server.authority);
        try {
          const { body } = await open(rig);
          const read = await readAll(body);
          expect(read.equals(blob)).to.equal(true);
        } catch (error) {
          if (!(error instanceof ExchangeError)) throw error;
          expect(['connection', 'content']).to.include(error.evidence.kind);
          // A reset may overtake what was sent before it; an orderly end may not.
          const wasRight = chosen.sent === blob.length || (chosen.framing === 'length' && chosen.sent > blob.length);
          expect(wasRight && chosen.end === 'close', error.message).to.equal(false);
        } finally {
          await closeRigs();
        }
      }),
      { numRuns: 60 },
    );
  });
});
