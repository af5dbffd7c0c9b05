import { resetSocket } from '../../lib/testing/reset-socket.js';
import { inspect } from 'node:util';
import createDebug from 'debug';
import { expect } from 'chai';
import { startRawServer, startServer, type Answer } from '../support/servers.js';
import { requireReal } from '../support/real-parts.js';
import { createAuthority } from '../support/tls.js';
import { bytesOf, digestOfBytes, evidenceOf, openRig, readAll, useServers, type Rig } from './rig.js';
import { failureOf } from '../support/failure-of.js';
import { until } from '../support/until.js';

describe('a redirect', () => {
  const started = useServers();
  const blob = bytesOf(70_000);
  const digest = digestOfBytes(blob);
  const open = ({ client, context }: Rig, from = 0): ReturnType<typeof client.openBlob> =>
    client.openBlob({ ...context, repository: 'team/app', digest, size: blob.length, from, firstByteMs: 5_000 });
  const to =
    (location: string, status = 307): Answer =>
    (_request, response) =>
      response.writeHead(status, { location }).end('<html>elsewhere</html>');

  for (const status of [301, 302, 303, 307, 308]) {
    it(`with ${status} is followed, with the Range and without Authorization`, async () => {
      const storage = await started(
        startServer((_request, response) => {
          response.writeHead(206, { 'content-range': `bytes 9-${blob.length - 1}/${blob.length}` });
          response.end(blob.subarray(9));
        }),
      );
      const registry = await started(
        startServer((request, response) => {
          if (request.headers.authorization === undefined)
            response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
          else void to(`${storage.url}/blob?X-Amz-Signature=abc`, status)(request, response);
        }),
      );
      const rig = openRig(registry.authority, { registry: { credentials: { username: 'me', password: 'hunter22' } } });
      const answer = await open(rig, 9);
      expect(answer).to.include({ start: 9, answerer: 'storage' });
      expect((await readAll(answer.body)).equals(blob.subarray(9))).to.equal(true);
      expect(storage.seen[0]?.headers).to.include({ range: 'bytes=9-', 'accept-encoding': 'identity' });
      expect(storage.seen[0]?.headers).not.to.have.any.keys('authorization', 'cookie', 'referer');
      expect(storage.seen[0]?.url).to.equal('/blob?X-Amz-Signature=abc');
    });
  }

  it('may be relative, and keeps Authorization on its own origin', async () => {
    const registry = await started(
      startServer((request, response) => {
        if (request.headers.authorization === undefined)
          response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
        else if (request.url.startsWith('/v2/')) void to('/elsewhere')(request, response);
        else response.end(blob);
      }),
    );
    const rig = openRig(registry.authority, { registry: { credentials: { username: 'me', password: 'hunter22' } } });
    const answer = await open(rig);
    expect(answer.answerer).to.equal('registry');
    expect((await readAll(answer.body)).equals(blob)).to.equal(true);
  });

  it('is followed five times, and no sixth time', async () => {
    const registry = await started(
      startServer((request, response) => {
        const hop = Number(/hop-(\d+)/.exec(request.url)?.[1] ?? 0);
        if (hop === last) response.end(blob);
        else void to(`/hop-${hop + 1}`)(request, response);
      }),
    );
    let last = 5;
    const rig = openRig(registry.authority);
    expect((await readAll((await open(rig)).body)).equals(blob)).to.equal(true);
    last = 6;
    // One that has not been led anywhere yet.
    const other = openRig(registry.authority);
    expect(await evidenceOf(open(other))).to.deep.equal({ kind: 'redirect', code: 'redirect-loop' });
    expect(registry.seen).to.have.length(12);
  });

  it('keeps the connections of both ends for the next blob', async () => {
    const storage = await started(startServer((_request, response) => response.end(blob)));
    const registry = await started(startServer(to(`${storage.url}/x`)));
    const rig = openRig(registry.authority);
    for (let count = 0; count < 3; count += 1) await readAll((await open(rig)).body);
    expect([registry.accepted, storage.accepted]).to.deep.equal([1, 1]);
  });

  it('whose own body has no next byte does not keep its target waiting, and is ended', async () => {
    const storage = await started(startServer((_request, response) => response.end(blob)));
    const registry = await started(
      startServer((_request, response) => {
        response.writeHead(307, { location: `${storage.url}/x`, 'content-length': 1_000_000 });
        response.write('x');
      }),
    );
    const { body } = await open(openRig(registry.authority));
    expect(registry.connections).to.equal(1);
    expect((await readAll(body)).equals(blob)).to.equal(true);
    await until(() => registry.connections === 0, 'the connection to the registry is ended');
    expect(storage.connections).to.equal(1);
  });

  describe('is not followed', () => {
    const refused: readonly [string, Record<string, string>, string][] = [
      ['without a Location', {}, 'redirect-malformed'],
      ['to something that is no URL', { location: 'http://[' }, 'redirect-malformed'],
      ['to another scheme', { location: 'file:///etc/passwd' }, 'redirect-malformed'],
      ['to a URL with a user in it', { location: 'https://a:b@cdn.example/' }, 'redirect-malformed'],
      ['to the metadata service of a cloud', { location: 'http://169.254.169.254/latest/' }, 'redirect-private'],
      ['to nowhere', { location: 'http://0.0.0.0:1/' }, 'redirect-private'],
    ];
    for (const [title, headers, code] of refused) {
      it(title, async () => {
        const registry = await started(startServer((_request, response) => response.writeHead(307, headers).end()));
        expect(await evidenceOf(open(openRig(registry.authority)))).to.deep.equal({ kind: 'redirect', code });
      });
    }
    describe('from https', () => {
      requireReal('openssl', 'apt-get install openssl');
      it('to http', async () => {
        const authority = createAuthority();
        const storage = await started(startServer((_request, response) => response.end(blob)));
        const registry = await started(startServer(to(`${storage.url}/x`), { tls: authority.issue(['127.0.0.1']) }));
        const rig = openRig(registry.authority, { registry: { plainHttp: false, ca: authority.ca } });
        expect(await evidenceOf(open(rig))).to.deep.equal({ kind: 'redirect', code: 'redirect-downgrade' });
        expect(storage.accepted).to.equal(0);
      });
    });
  });

  describe('that fails', () => {
    it('at the storage says so', async () => {
      for (const status of [401, 403, 404, 500]) {
        const storage = await started(
          startServer((_request, response) =>
            response.writeHead(status, { 'www-authenticate': 'Basic realm="x"' }).end('<Error>AccessDenied</Error>'),
          ),
        );
        const registry = await started(startServer(to(`${storage.url}/x`)));
        expect(await evidenceOf(open(openRig(registry.authority)))).to.deep.equal({
          kind: 'status',
          status,
          from: 'storage',
          specCodes: [],
        });
        expect(registry.seen).to.have.length(1);
      }
    });
    it('by wrong content there is told as the storage’s', async () => {
      const storage = await started(
        startServer((_request, response) => response.setHeader('content-length', 3).end('abc')),
      );
      const registry = await started(startServer(to(`${storage.url}/x`)));
      expect(await evidenceOf(open(openRig(registry.authority)))).to.deep.equal({
        kind: 'content',
        code: 'length-mismatch',
        from: 'storage',
      });
    });
  });

  it('never shows its signature, whatever goes wrong: in a log line, a message, an error', async () => {
    const secrets = [
      'hunter22',
      's1gnatureSECRET',
      'pathSECRET',
      'tok-SECRET-123',
      Buffer.from('me:hunter22').toString('base64'),
    ];
    const lines: string[] = [];
    const write = createDebug.log;
    createDebug.log = (...args: unknown[]) => lines.push(args.map(String).join(' '));
    createDebug.enable('pull-failover:*');
    try {
      const tokens = await started(startServer((_request, response) => response.end('{"token":"tok-SECRET-123"}')));
      const outcomes: Answer[] = [
        (request, response) =>
          response
            .writeHead(403)
            .end(`<Error><Provided>s1gnatureSECRET</Provided> http://cdn.example${request.url} tok-SECRET-123</Error>`),
        (request, response) => response.writeHead(307, { location: `http://169.254.169.254${request.url}` }).end(),
        (_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
        (_request, response) => response.writeHead(200, { 'content-length': 5 }).end('abcde'),
      ];
      const ends = await Promise.all([
        ...outcomes.map((answer) => started(startServer(answer))),
        started(startRawServer((socket) => socket.once('data', () => resetSocket(socket)))),
        started(
          startRawServer((socket) => socket.once('data', () => socket.end('HTTP/1.1 xyz s1gnatureSECRET\r\n\r\n'))),
        ),
      ]);
      for (const end of ends) {
        const registry = await started(
          startServer((request, response) => {
            if (request.headers.authorization === undefined) {
              response
                .writeHead(401, { 'www-authenticate': `Bearer realm="${tokens.url}/t?key=s1gnatureSECRET"` })
                .end();
            } else void to(`${end.url}/pathSECRET?X-Amz-Signature=s1gnatureSECRET`)(request, response);
          }),
        );
        const rig = openRig(registry.authority, {
          registry: { credentials: { username: 'me', password: 'hunter22' } },
        });
        const error = await failureOf(open(rig));
        const shown = `${inspect(error, { depth: 20, showHidden: true })} ${JSON.stringify(error)} ${String(error)}`;
        for (const secret of secrets) expect(shown, secret).not.to.include(secret);
      }
      expect(lines.some((line) => line.includes('pull-1'))).to.equal(true);
      for (const secret of secrets) expect(lines.join('\n'), secret).not.to.include(secret);
    } finally {
      createDebug.disable();
      createDebug.log = write;
    }
  });
});
