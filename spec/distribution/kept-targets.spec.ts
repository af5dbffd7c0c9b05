import { getEventListeners } from 'node:events';
import { inspect } from 'node:util';
import createDebug from 'debug';
import { expect } from 'chai';
import { replaceTimeSource } from '../../lib/clock/time.js';
import { createRegistryClient, type BlobAnswer } from '../../lib/distribution/client.js';
import { fixedCredentials } from '../../lib/registries/credential-source.js';
import {
  layers,
  seededImage,
  startRegistryDouble,
  type RegistryDouble,
  type RegistryDoubleOptions,
} from '../../lib/testing/index.js';
import { resetSocket } from '../../lib/testing/reset-socket.js';
import { failureOf } from '../support/failure-of.js';
import { requireReal } from '../support/real-parts.js';
import { startServer, type Answer, type TestServer } from '../support/servers.js';
import { createAuthority } from '../support/tls.js';
import { until } from '../support/until.js';
import { bytesOf, digestOfBytes, evidenceOf, openRig, readAll, registryAt, useServers, type Rig } from './rig.js';

interface Wanted {
  readonly repository?: string;
  readonly from?: number;
  readonly to?: number;
  readonly firstByteMs?: number;
  readonly signal?: AbortSignal;
}

describe('where a registry redirects a blob to', () => {
  let restoreTime: () => void = () => undefined;
  afterEach(() => {
    restoreTime();
    restoreTime = () => undefined;
  });
  const started = useServers();
  /** Lets time pass in which nothing happens. */
  function passMs(ms: number): void {
    restoreTime();
    restoreTime = replaceTimeSource({
      monotonicMs: () => performance.now() + ms,
      epochMs: () => Date.now() + ms,
    });
  }

  describe('of a registry double', () => {
    const image = seededImage({ bytes: [200_000, 100_000] });
    const [layer, other] = image.layers;
    if (layer === undefined || other === undefined) throw new Error('the image has two layers');

    const startDouble = (options: RegistryDoubleOptions = {}): Promise<RegistryDouble> =>
      started(startRegistryDouble({ images: { 'team/app:1': image }, redirects: true, ...options }));
    const open = ({ client, context }: Pick<Rig, 'client' | 'context'>, wanted: Wanted = {}): Promise<BlobAnswer> =>
      client.openBlob({
        ...context,
        repository: 'team/app',
        digest: layer.digest,
        size: layer.sizeBytes,
        from: 0,
        firstByteMs: 10_000,
        ...wanted,
      });
    const expected = Buffer.concat([...layer.read()]);
    async function readPart(rig: Pick<Rig, 'client' | 'context'>, from = 0, to = expected.length): Promise<void> {
      const answer = await open(rig, { from, to });
      expect(answer).to.include({ start: from, answerer: 'storage' });
      expect((await readAll(answer.body)).equals(expected.subarray(from, to))).to.equal(true);
    }
    /** API requests for blobs, requests to the storage, and for tokens. */
    const counts = ({ requests }: RegistryDouble): readonly number[] =>
      ['blob', 'storage', 'token'].map((kind) => requests.filter((each) => each.kind === kind).length);

    it('is asked straight away for every further part of the blob', async () => {
      const double = await startDouble();
      const rig = openRig(double.host);
      for (let from = 0; from < 200_000; from += 20_000) await readPart(rig, from, from + 20_000);
      expect(counts(double)).to.deep.equal([1, 10, 0]);
      expect(double.violations).to.deep.equal([]);
    });

    describe('over TLS', () => {
      requireReal('openssl', 'apt-get install openssl');
      it('is asked straight away as well, by the authorities of the registry', async () => {
        const authority = createAuthority();
        const double = await startDouble({ tls: authority.issue(['127.0.0.1']) });
        const rig = openRig(double.host, { registry: { plainHttp: false, ca: authority.ca } });
        for (const from of [0, 1, 100_000, 199_999]) await readPart(rig, from);
        expect(counts(double)).to.deep.equal([1, 4, 0]);
      });
    });

    it('is asked for until shortly before it expires, by its own word', async () => {
      const double = await startDouble({ redirects: { expiresMs: 60_000 } });
      const rig = openRig(double.host);
      await readPart(rig);
      passMs(49_000);
      await readPart(rig);
      expect(counts(double)).to.deep.equal([1, 2, 0]);
      passMs(50_500);
      await readPart(rig);
      expect(counts(double)).to.deep.equal([2, 3, 0]);
    });

    it('is asked for five minutes at most', async () => {
      const double = await startDouble({ redirects: { expiresMs: Infinity } });
      const rig = openRig(double.host);
      await readPart(rig);
      passMs(298_000);
      await readPart(rig);
      expect(counts(double)).to.deep.equal([1, 2, 0]);
      passMs(301_000);
      await readPart(rig);
      expect(counts(double)).to.deep.equal([2, 3, 0]);
    });

    it('is told as refused when it was just redirected to, and asked for anew the next time', async () => {
      const double = await startDouble({ faults: [layers.expiredRedirect()] });
      const rig = openRig(double.host);
      expect(await evidenceOf(open(rig))).to.deep.include({ kind: 'status', status: 403, from: 'storage' });
      expect(counts(double)).to.deep.equal([1, 1, 0]);
      await readPart(rig);
      expect(counts(double)).to.deep.equal([2, 2, 0]);
    });

    it('never gets credentials, and is kept for those that it was shown to alone', async () => {
      const users = { ann: 'password-of-ann', ben: 'password-of-ben' };
      const double = await startDouble({ auth: { kind: 'basic', users } });
      const rig = openRig(double.host);
      const registry = registryAt(double.host);
      const clientOf = (
        username: keyof typeof users,
        password: string = users[username],
      ): Pick<Rig, 'client' | 'context'> => ({
        context: rig.context,
        client: createRegistryClient(registry, rig.transport, {
          credentials: fixedCredentials({ username, password }),
        }),
      });
      await readPart(clientOf('ann'));
      await readPart(clientOf('ann'), 10, 20);
      const before = counts(double)[0] ?? 0;
      await readPart(clientOf('ben'), 20, 30);
      expect(counts(double)).to.deep.equal([before + 1, 3, 0]);
      await readPart(clientOf('ann'), 30, 40);
      await readPart(clientOf('ben'), 40, 50);
      expect(counts(double)).to.deep.equal([before + 1, 5, 0]);
      for (const stranger of [rig, clientOf('ann', 'wrong password')]) {
        expect(await evidenceOf(open(stranger))).to.deep.include({ status: 401, from: 'registry' });
      }
      expect(counts(double)[1]).to.equal(5);
      const { requests } = double;
      expect(
        requests.filter(({ kind, authorization }) => kind === 'storage' && authorization !== 'none'),
      ).to.have.length(0);
      expect(double.violations).to.deep.equal([]);
    });

    it('is asked for without a new token when the old one has expired', async () => {
      const double = await startDouble({ auth: { kind: 'bearer', anonymous: true, expiresInSeconds: 60 } });
      const rig = openRig(double.host);
      await readPart(rig);
      passMs(100_000);
      await readPart(rig, 5);
      expect(counts(double)).to.deep.equal([2, 2, 1]);
    });

    it('is asked for once by all who want a part at the same time', async () => {
      const double = await startDouble({ auth: { kind: 'bearer', anonymous: true } });
      const rig = openRig(double.host);
      // Now it is known to redirect.
      const { client, context } = rig;
      const wanted = {
        repository: 'team/app',
        digest: other.digest,
        size: other.sizeBytes,
        from: 0,
        firstByteMs: 5_000,
      };
      await readAll((await client.openBlob({ ...context, ...wanted })).body);
      const [before = 0] = counts(double);
      await Promise.all(Array.from({ length: 8 }, (_, at) => readPart(rig, at * 25_000, (at + 1) * 25_000)));
      expect(counts(double)).to.deep.equal([before + 1, 9, 1]);
      expect(getEventListeners(context.signal, 'abort')).to.have.length(0);
    });
  });

  const blob = bytesOf(50_000);
  const digest = digestOfBytes(blob);
  const open = (
    { client, context }: Rig,
    wanted: Wanted & { readonly digest?: typeof digest; readonly onConnection?: (holds: boolean) => void } = {},
  ): Promise<BlobAnswer> =>
    client.openBlob({
      ...context,
      repository: 'team/app',
      digest,
      size: blob.length,
      from: 0,
      firstByteMs: 10_000,
      ...wanted,
    });
  const read = async (rig: Rig, wanted: Parameters<typeof open>[1] = {}): Promise<Buffer> =>
    readAll((await open(rig, wanted)).body);
  const good: Answer = (request, response) => {
    const [range, first = '0', last = ''] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const part = blob.subarray(Number(first), last === '' ? blob.length : Number(last) + 1);
    const told = `bytes ${first}-${Number(first) + part.length - 1}/${blob.length}`;
    response.writeHead(range === undefined ? 200 : 206, range === undefined ? {} : { 'content-range': told });
    response.end(part);
  };
  /** A registry whose storage answers as told. */
  async function startBoth(answer: Answer): Promise<{ readonly registry: TestServer; readonly storage: TestServer }> {
    const storage = await started(startServer(answer));
    const registry = await started(
      startServer((_request, response) => response.writeHead(307, { location: `${storage.url}/x?sig=abc` }).end()),
    );
    return { registry, storage };
  }
  /** Answers one request after the other, and all further ones as the last. */
  function inTurn(...answers: readonly [Answer, ...Answer[]]): Answer {
    let count = 0;
    return (request, response) => {
      const answer = answers[Math.min(count, answers.length - 1)] ?? answers[0];
      count += 1;
      return answer(request, response);
    };
  }
  const status =
    (code: number, headers: Record<string, string> = {}): Answer =>
    (_request, response) =>
      response.writeHead(code, headers).end('<Error>no</Error>');

  for (const code of [400, 401, 403, 404, 410]) {
    it(`is forgotten when it answers ${code}, and the registry is asked in the same call`, async () => {
      const { registry, storage } = await startBoth(inTurn(good, status(code), good));
      const rig = openRig(registry.authority);
      for (let count = 0; count < 3; count += 1) expect((await read(rig)).equals(blob)).to.equal(true);
      expect([registry.seen.length, storage.seen.length]).to.deep.equal([2, 4]);
    });
    it(`is a failure when the fresh one answers ${code} as well`, async () => {
      const { registry, storage } = await startBoth(inTurn(good, status(code), status(code), good));
      const rig = openRig(registry.authority);
      await read(rig);
      expect(await evidenceOf(open(rig))).to.deep.include({ kind: 'status', status: code, from: 'storage' });
      expect([registry.seen.length, storage.seen.length]).to.deep.equal([2, 3]);
      expect((await read(rig)).equals(blob)).to.equal(true);
      expect(registry.seen).to.have.length(3);
    });
  }

  const failures: readonly [string, Answer, object][] = [
    ['500', status(500), { kind: 'status', status: 500, from: 'storage' }],
    ['503', status(503, { 'retry-after': '3' }), { kind: 'status', status: 503, from: 'storage', retryAfterMs: 3_000 }],
    ['429', status(429), { kind: 'status', status: 429, from: 'storage' }],
    ['416', status(416), { kind: 'status', status: 416, from: 'storage' }],
    ['a reset', (_request, response) => resetSocket(response.socket!), { kind: 'connection', code: 'reset', bytes: 0 }],
    [
      'another length',
      (_request, response) => response.end('abc'),
      { kind: 'content', code: 'length-mismatch', from: 'storage' },
    ],
    [
      'a reset in the middle',
      (_request, response) => {
        response.writeHead(200, { 'content-length': blob.length });
        response.write(blob.subarray(0, 1_000), () => resetSocket(response.socket!));
      },
      { kind: 'connection' },
    ],
    ['nothing', () => undefined, { kind: 'limit', limit: 'layers.firstByteMs' }],
    [
      'a redirect into this network’s secrets',
      status(307, { location: 'http://169.254.169.254/' }),
      { kind: 'redirect', code: 'redirect-private' },
    ],
  ];
  for (const [title, answer, evidence] of failures) {
    it(`that answers with ${title} is a failure like any, and asked for anew the next time`, async () => {
      const { registry, storage } = await startBoth(inTurn(good, answer, good));
      const rig = openRig(registry.authority);
      await read(rig);
      expect(await evidenceOf(read(rig, { firstByteMs: 400 }))).to.deep.include(evidence);
      expect([registry.seen.length, storage.seen.length]).to.deep.equal([1, 2]);
      expect((await read(rig)).equals(blob)).to.equal(true);
      expect([registry.seen.length, storage.seen.length]).to.deep.equal([2, 3]);
    });
  }

  it('that is not there any more is a failure like any, and asked for anew the next time', async () => {
    const { registry, storage } = await startBoth((_request, response) => {
      response.writeHead(200, { connection: 'close' }).end(blob);
    });
    const rig = openRig(registry.authority);
    await read(rig);
    await storage.close();
    expect(await evidenceOf(open(rig))).to.deep.include({ kind: 'connection', code: 'refused' });
    expect(await evidenceOf(open(rig))).to.deep.include({ kind: 'connection', code: 'refused' });
    expect(registry.seen).to.have.length(2);
  });

  it('is still known after its caller left', async () => {
    const { registry, storage } = await startBoth(inTurn(good, () => undefined, good));
    const rig = openRig(registry.authority);
    await read(rig);
    const leaving = new AbortController();
    const left = failureOf(open(rig, { signal: leaving.signal }));
    await until(() => storage.seen.length === 2, 'the storage is asked again');
    leaving.abort('enough');
    expect(await left).to.equal('enough');
    const cancelled = await open(rig);
    cancelled.body.cancel();
    await read(rig);
    expect(registry.seen).to.have.length(1);
  });

  it('is another one for another repository', async () => {
    const { registry, storage } = await startBoth(good);
    const rig = openRig(registry.authority);
    await read(rig);
    await read(rig, { repository: 'team/other' });
    expect(registry.seen.map(({ url }) => url)).to.deep.equal([
      `/v2/team/app/blobs/${digest}`,
      `/v2/team/other/blobs/${digest}`,
    ]);
    expect(storage.seen).to.have.length(2);
  });

  it('is the last of several redirects', async () => {
    const storage = await started(startServer(good));
    const between = await started(startServer(status(302, { location: `${storage.url}/x` })));
    const registry = await started(startServer(status(307, { location: `${between.url}/y` })));
    const rig = openRig(registry.authority);
    for (let count = 0; count < 3; count += 1) await read(rig);
    expect([registry.seen.length, between.seen.length, storage.seen.length]).to.deep.equal([1, 1, 3]);
  });

  it('may be of its own origin: then Authorization goes along, as at the first time', async () => {
    const registry = await started(
      startServer((request, response) => {
        if (request.headers.authorization === undefined) {
          response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
        } else if (request.url.startsWith('/v2/')) response.writeHead(307, { location: '/proxied/x' }).end();
        else void good(request, response);
      }),
    );
    const rig = openRig(registry.authority, { registry: { credentials: { username: 'me', password: 'hunter22' } } });
    await read(rig);
    const answer = await open(rig, { from: 7 });
    expect(answer).to.include({ start: 7, answerer: 'registry' });
    expect((await readAll(answer.body)).equals(blob.subarray(7))).to.equal(true);
    expect(registry.seen.map(({ url }) => url.slice(0, 4))).to.deep.equal(['/v2/', '/v2/', '/pro', '/pro']);
  });

  it('is connected to where its registry may lead, whatever its name means later', async () => {
    const storage = await started(
      startServer((_request, response) => response.writeHead(200, { connection: 'close' }).end(blob)),
    );
    const registry = await started(startServer(status(307, { location: `http://storage.example:${storage.port}/x` })));
    let address = '127.0.0.1';
    const rig = openRig(registry.authority, {
      transport: {
        resolve: async (name) => [{ address: name === 'storage.example' ? address : '127.0.0.1', family: 4 }],
      },
    });
    await read(rig);
    await until(() => storage.connections === 0, 'the storage has closed its connection');
    address = '169.254.169.254';
    expect(await evidenceOf(open(rig))).to.deep.equal({ kind: 'redirect', code: 'redirect-private' });
    expect([registry.seen.length, storage.accepted]).to.deep.equal([1, 1]);
  });

  it('is never shown, whatever goes wrong when it is asked again', async () => {
    const secrets = ['s1gnatureSECRET', 'pathSECRET'];
    const lines: string[] = [];
    const write = createDebug.log;
    createDebug.log = (...args: unknown[]) => lines.push(args.map(String).join(' '));
    createDebug.enable('pull-failover:*');
    try {
      const wrongs: readonly Answer[] = [
        (request, response) => response.writeHead(500).end(`<Provided>s1gnatureSECRET</Provided> ${request.url}`),
        (_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
        (request, response) => response.writeHead(307, { location: `http://169.254.169.254${request.url}` }).end(),
        (_request, response) => resetSocket(response.socket!),
      ];
      for (const wrong of wrongs) {
        const storage = await started(startServer(inTurn(good, wrong)));
        const location = `${storage.url}/pathSECRET?X-Amz-Signature=s1gnatureSECRET`;
        const registry = await started(startServer(status(307, { location })));
        const rig = openRig(registry.authority);
        await read(rig);
        const error = await failureOf(open(rig));
        expect(registry.seen).to.have.length(1);
        const shown = `${inspect(error, { depth: 20, showHidden: true })} ${JSON.stringify(error)} ${String(error)}`;
        const client = inspect(rig.client, { depth: 20, showHidden: true });
        for (const secret of secrets) expect(shown + client, secret).not.to.include(secret);
      }
      expect(lines.some((line) => line.includes('pull-1'))).to.equal(true);
      for (const secret of secrets) expect(lines.join('\n'), secret).not.to.include(secret);
    } finally {
      createDebug.disable();
      createDebug.log = write;
    }
  });

  describe('while somebody asks for it', () => {
    const another = digestOfBytes(Buffer.from('another blob'));
    /** A registry that is known to redirect, and answers for the blob as told. */
    async function startKnown(answer: Answer): Promise<{ readonly rig: Rig; readonly asked: () => number }> {
      const { registry } = await startBoth(good);
      const front = await started(
        startServer((request, response) =>
          request.url.includes(another)
            ? response.writeHead(307, { location: `${registry.url}/y` }).end()
            : answer(request, response),
        ),
      );
      const rig = openRig(front.authority);
      await read(rig, { digest: another });
      return { rig, asked: () => front.seen.length - 1 };
    }
    const toStorage = async (): Promise<Answer> => {
      const storage = await started(startServer(good));
      return status(307, { location: `${storage.url}/x` });
    };
    const eight = <T>(work: (at: number) => Promise<T>): Promise<T[]> =>
      Promise.all(Array.from({ length: 8 }, (_, at) => work(at)));

    it('all wait for the one answer, and are told whether the registry is being asked', async () => {
      const answers: (() => void)[] = [];
      const redirect = await toStorage();
      const { rig, asked } = await startKnown((request, response) => {
        answers.push(() => void redirect(request, response));
      });
      const told: string[][] = [];
      const reading = eight(async (at) => {
        const words: string[] = [];
        told.push(words);
        return read(rig, { from: at, to: at + 1, onConnection: (holds) => words.push(holds ? 'asks' : 'waits') });
      });
      await until(() => answers.length === 1, 'the registry is asked');
      answers[0]?.();
      expect(Buffer.concat(await reading).equals(blob.subarray(0, 8))).to.equal(true);
      expect(asked()).to.equal(1);
      expect(told[0]).to.deep.equal(['asks']);
      for (const words of told.slice(1)) expect(words).to.deep.equal(['waits', 'asks', 'asks']);
    });

    it('its failure is the failure of all', async () => {
      for (const code of [404, 429, 500, 503]) {
        const { rig, asked } = await startKnown(status(code));
        const evidence = await eight(() => evidenceOf(open(rig)));
        for (const each of evidence) expect(each).to.deep.include({ kind: 'status', status: code, from: 'registry' });
        expect(asked(), `${code}`).to.equal(1);
      }
    });

    it('a redirect that is not followed is the failure of all', async () => {
      const { rig, asked } = await startKnown(status(307, { location: 'http://169.254.169.254/' }));
      const evidence = await eight(() => evidenceOf(open(rig)));
      for (const each of evidence) expect(each).to.deep.equal({ kind: 'redirect', code: 'redirect-private' });
      expect(asked()).to.equal(1);
    });

    it('the time of the registry is everybody’s own, each by his own limit', async () => {
      const { rig, asked } = await startKnown(() => undefined);
      const patient = evidenceOf(open(rig, { firstByteMs: 900 }));
      const hasty = evidenceOf(open(rig, { firstByteMs: 300 }));
      expect(await hasty).to.deep.include({ kind: 'limit', limit: 'layers.firstByteMs', value: 300 });
      expect(await patient).to.deep.include({ kind: 'limit', limit: 'layers.firstByteMs', value: 900 });
      expect(asked()).to.equal(1);
    });

    it('another one asks when he leaves', async () => {
      const redirect = await toStorage();
      const { rig, asked } = await startKnown(inTurn(() => undefined, redirect));
      const leaving = new AbortController();
      const left = failureOf(open(rig, { signal: leaving.signal }));
      const others = eight((at) => read(rig, { from: at, to: at + 1 }));
      await until(() => asked() === 1, 'the registry is asked');
      leaving.abort('enough');
      expect(await left).to.equal('enough');
      expect(Buffer.concat(await others).equals(blob.subarray(0, 8))).to.equal(true);
      expect(asked()).to.equal(2);
    });

    it('one who waits may leave, with his own reason', async () => {
      const redirect = await toStorage();
      const answers: (() => void)[] = [];
      const { rig } = await startKnown((request, response) => answers.push(() => void redirect(request, response)));
      const first = read(rig);
      const leaving = new AbortController();
      const left = failureOf(open(rig, { signal: leaving.signal }));
      await until(() => answers.length === 1, 'the registry is asked');
      leaving.abort('enough');
      expect(await left).to.equal('enough');
      expect(getEventListeners(leaving.signal, 'abort')).to.have.length(0);
      answers[0]?.();
      expect((await first).equals(blob)).to.equal(true);
    });

    it('all go on at once when the registry has the blob itself', async () => {
      const held: (() => void)[] = [];
      const { rig, asked } = await startKnown((request, response) => {
        held.push(() => void good(request, response));
        // None of the others waits for another one of them.
        if (held.length === 1 || held.length === 8)
          for (const answer of held.splice(held.length === 1 ? 0 : 1)) answer();
      });
      const reading = eight((at) => read(rig, { from: at, to: at + 1 }));
      expect(Buffer.concat(await reading).equals(blob.subarray(0, 8))).to.equal(true);
      expect(asked()).to.equal(8);
    });
  });
});
