import { expect } from 'chai';
import { createRegistryClient } from '../../lib/distribution/client.js';
import { fixedCredentials } from '../../lib/registries/credential-source.js';
import { CredentialsUnavailableError } from '../../lib/registries/credentials-unavailable.js';
import type { Credentials, CredentialSource } from '../../lib/registries/credentials.js';
import { startFakeTime } from '../support/fake-time.js';
import { startServer, type Answer, type SeenRequest, type TestServer } from '../support/servers.js';
import { closeRigs, evidenceOf, openRig, registryAt, turns, type Rig } from './rig.js';
import { failureOf } from '../support/failure-of.js';
import { until } from '../support/until.js';

const user: Credentials = { username: 'me', password: 'hunter22' };
const basic = `Basic ${Buffer.from('me:hunter22').toString('base64')}`;

describe('authentication', () => {
  const servers: TestServer[] = [];
  const started = async (answer: Answer): Promise<TestServer> => {
    const server = await startServer(answer);
    servers.push(server);
    return server;
  };
  afterEach(async () => {
    expect(await closeRigs()).to.equal(0);
    await Promise.all(servers.splice(0).map((server) => server.close()));
  });

  /** A token service and a registry that wants its tokens. */
  interface Guarded {
    readonly registry: TestServer;
    readonly tokens: TestServer;
    /** Tokens that the registry accepts. */
    readonly good: Set<string>;
    tokenAnswer: Answer;
    denial: { status: number; body: string };
  }
  async function startGuarded(challenge: (tokens: TestServer) => string = bearer): Promise<Guarded> {
    let issued = 0;
    const guarded = {
      good: new Set<string>(),
      denial: { status: 401, body: '{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}' },
      tokenAnswer: ((_request, response) => {
        issued += 1;
        const token = `token-${issued}`;
        guarded.good.add(token);
        response.end(JSON.stringify({ token, expires_in: 300 }));
      }) as Answer,
    };
    const tokens = await started((request, response) => guarded.tokenAnswer(request, response));
    const registry = await started((request, response) => {
      const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1];
      if (token !== undefined && guarded.good.has(token)) {
        response.setHeader('content-type', 'application/vnd.oci.image.manifest.v1+json');
        response.end('{}');
        return;
      }
      response.statusCode = guarded.denial.status;
      if (guarded.denial.status === 401) response.setHeader('www-authenticate', challenge(tokens));
      response.end(guarded.denial.body);
    });
    return Object.assign(guarded, { registry, tokens });
  }
  const bearer = (tokens: TestServer): string =>
    `Bearer realm="${tokens.url}/token?tenant=1",service="reg",scope="repository:team/app:pull"`;
  const manifest = ({ client, context }: Rig, repository = 'team/app'): Promise<unknown> =>
    client.getManifest({ ...context, repository, reference: 'latest' });
  const sent = (server: TestServer): (string | undefined)[] =>
    server.seen.map((request: SeenRequest) => request.headers.authorization);

  describe('by Bearer', () => {
    it('asks anonymously where there are no credentials, and uses the token for the next request too', async () => {
      const { registry, tokens } = await startGuarded();
      const rig = openRig(registry.authority);
      await manifest(rig);
      await manifest(rig);
      expect(tokens.seen.map(({ method, url }) => `${method} ${url}`)).to.deep.equal([
        'GET /token?tenant=1&service=reg&scope=repository%3Ateam%2Fapp%3Apull',
      ]);
      expect(sent(tokens)).to.deep.equal([undefined]);
      expect(sent(registry)).to.deep.equal([undefined, 'Bearer token-1', 'Bearer token-1']);
    });

    it('shows user and password to the token service alone', async () => {
      const { registry, tokens } = await startGuarded();
      await manifest(openRig(registry.authority, { registry: { credentials: user } }));
      expect(sent(tokens)).to.deep.equal([basic]);
      expect(tokens.seen[0]?.url).to.include('&account=me');
      expect(sent(registry)).to.deep.equal([undefined, 'Bearer token-1']);
    });

    it('exchanges an identity token by POST, in the body', async () => {
      const { registry, tokens } = await startGuarded();
      await manifest(openRig(registry.authority, { registry: { credentials: { identityToken: 'refresh-me' } } }));
      const [request] = tokens.seen;
      expect(request).to.include({ method: 'POST', url: '/token?tenant=1' });
      expect(request?.headers).not.to.have.property('authorization');
      expect(Object.fromEntries(new URLSearchParams(request?.body))).to.deep.equal({
        grant_type: 'refresh_token',
        refresh_token: 'refresh-me',
        client_id: 'pull-failover',
        service: 'reg',
        scope: 'repository:team/app:pull',
      });
    });

    it('sends a registry token as it is, and asks nobody', async () => {
      const { registry, tokens, good } = await startGuarded();
      good.add('given');
      await manifest(openRig(registry.authority, { registry: { credentials: { registryToken: 'given' } } }));
      expect(sent(registry)).to.deep.equal([undefined, 'Bearer given']);
      expect(tokens.seen).to.have.length(0);
    });

    it("asks for pull alone, of the repository that the registry's challenge names", async () => {
      const { registry, tokens } = await startGuarded(
        (service) => `Bearer realm="${service.url}/t",scope="repository:proxied/team/app:pull,push,delete"`,
      );
      await manifest(openRig(registry.authority));
      expect(tokens.seen[0]?.url).to.equal('/t?scope=repository%3Aproxied%2Fteam%2Fapp%3Apull');
    });
    it('asks for pull of its own repository where the challenge names anything else', async () => {
      const { registry, tokens } = await startGuarded(
        (service) => `Bearer realm="${service.url}/t",scope="registry:catalog:*"`,
      );
      await manifest(openRig(registry.authority));
      expect(tokens.seen[0]?.url).to.equal('/t?scope=repository%3Ateam%2Fapp%3Apull');
    });

    it('asks once for many, per repository and per credentials', async () => {
      const guarded = await startGuarded((service) => `Bearer realm="${service.url}/t"`);
      const { registry, tokens } = guarded;
      const rig = openRig(registry.authority, { registry: { credentials: user } });
      await Promise.all(Array.from({ length: 8 }, () => manifest(rig)));
      expect(tokens.seen).to.have.length(1);
      await manifest(rig, 'team/other');
      expect(tokens.seen).to.have.length(2);
      const other = createRegistryClient(rig.client.registry, rig.transport, {
        credentials: fixedCredentials({ username: 'you', password: 'x' }),
      });
      await other.getManifest({ ...rig.context, repository: 'team/app', reference: 'latest' });
      expect(tokens.seen).to.have.length(3);
    });

    it('is harmed for nobody by one who leaves, and given up when all have left', async () => {
      const guarded = await startGuarded();
      const held: (() => void)[] = [];
      const { tokenAnswer } = guarded;
      guarded.tokenAnswer = (request, response) => held.push(() => tokenAnswer(request, response));
      const rig = openRig(guarded.registry.authority);
      const [first, second] = [new AbortController(), new AbortController()];
      const get = (signal: AbortSignal): Promise<unknown> =>
        rig.client.getManifest({ ...rig.context, signal, repository: 'team/app', reference: 'latest' });
      const leaving = failureOf(get(first.signal));
      await until(() => held.length === 1, 'the token service is asked');
      const staying = get(second.signal);
      // Its way there are only promises: the challenge is known by now.
      await turns(10);
      first.abort('gone');
      expect(await leaving).to.equal('gone');
      held.shift()?.();
      await staying;
      expect(guarded.tokens.seen).to.have.length(1);

      guarded.good.clear();
      const all = failureOf(get(first.signal));
      expect(await all).to.equal('gone');
      const third = new AbortController();
      const last = failureOf(get(third.signal));
      await until(() => held.length === 1, 'the token service is asked again');
      third.abort('gone too');
      expect(await last).to.equal('gone too');
      await until(() => guarded.tokens.connections === 0, 'the token request is ended');
    });

    it('refreshes a token in time, by monotonic time, whatever the clock says', async () => {
      const { registry, tokens } = await startGuarded();
      const time = startFakeTime();
      try {
        const rig = openRig(registry.authority);
        await manifest(rig);
        await time.passMs(239_000);
        await manifest(rig);
        expect(tokens.seen).to.have.length(1);
        await time.passMs(2_000);
        await manifest(rig);
        expect(tokens.seen).to.have.length(2);
        expect(sent(registry).at(-1)).to.equal('Bearer token-2');
      } finally {
        time.restore();
      }
    });

    it('gets one new token when a cached one is rejected, with 401 or 403', async () => {
      for (const status of [401, 403]) {
        const guarded = await startGuarded();
        const rig = openRig(guarded.registry.authority);
        await manifest(rig);
        guarded.good.clear();
        guarded.denial.status = status;
        await manifest(rig);
        expect(guarded.tokens.seen).to.have.length(2);
        expect(sent(guarded.registry).slice(2)).to.deep.equal(['Bearer token-1', 'Bearer token-2']);
      }
    });

    it('stops after one new token, and says what the registry said', async () => {
      const guarded = await startGuarded();
      guarded.tokenAnswer = (_request, response) => response.end('{"token":"useless"}');
      const rig = openRig(guarded.registry.authority);
      const expected = { kind: 'status', status: 401, from: 'registry', specCodes: ['UNAUTHORIZED'] };
      expect(await evidenceOf(manifest(rig))).to.deep.equal(expected);
      expect(guarded.registry.seen).to.have.length(2);
      expect(await evidenceOf(manifest(rig))).to.deep.equal(expected);
      expect(guarded.registry.seen).to.have.length(4);
      expect(guarded.tokens.seen).to.have.length(2);
    });

    it('answers a challenge that has changed', async () => {
      let service = 'one';
      const guarded = await startGuarded((tokens) => `Bearer realm="${tokens.url}/t",service="${service}"`);
      const rig = openRig(guarded.registry.authority);
      await manifest(rig);
      guarded.good.clear();
      service = 'two';
      await manifest(rig);
      expect(guarded.tokens.seen.at(-1)?.url).to.include('service=two');
    });

    const failures: readonly [string, Answer, object][] = [
      [
        'status',
        (_request, response) => {
          response.statusCode = 503;
          response.setHeader('retry-after', '7');
          response.end('{"errors":[{"code":"TOOMANYREQUESTS"}]}');
        },
        { kind: 'status', status: 503, from: 'token-service', specCodes: ['TOOMANYREQUESTS'], retryAfterMs: 7_000 },
      ],
      [
        'answer that is not JSON',
        (_request, response) => response.end('<html>'),
        { kind: 'auth', code: 'token-malformed' },
      ],
      ['answer without a token', (_request, response) => response.end('{}'), { kind: 'auth', code: 'token-malformed' }],
      [
        'answer without end',
        (_request, response) => response.end(`{"token":"${'x'.repeat(300_000)}"}`),
        { kind: 'content', code: 'too-large', from: 'token-service' },
      ],
      [
        'compressed answer',
        (_request, response) => response.setHeader('content-encoding', 'gzip').end('x'),
        { kind: 'content', code: 'content-encoded', from: 'token-service' },
      ],
      [
        'redirect that goes on',
        (request, response) => response.writeHead(302, { location: `${request.url}1` }).end(),
        { kind: 'redirect', code: 'redirect-loop' },
      ],
    ];
    for (const [title, answer, evidence] of failures) {
      it(`tells what is wrong with a token service by its ${title}, in the phase metadata`, async () => {
        const guarded = await startGuarded();
        guarded.tokenAnswer = answer;
        const rig = openRig(guarded.registry.authority);
        const { digest, size } = { digest: `sha256:${'0'.repeat(64)}` as never, size: 1 };
        const opening = rig.client.openBlob({
          ...rig.context,
          repository: 'team/app',
          digest,
          size,
          from: 0,
          firstByteMs: 5_000,
        });
        const error = await failureOf(opening);
        expect(error).to.deep.include({ evidence, phase: 'metadata' });
      });
    }

    it("follows a token service's redirect without our password", async () => {
      const guarded = await startGuarded();
      const { tokenAnswer } = guarded;
      const moved = await started((request, response) => tokenAnswer(request, response));
      guarded.tokenAnswer = (_request, response) => response.writeHead(302, { location: `${moved.url}/t` }).end();
      await manifest(openRig(guarded.registry.authority, { registry: { credentials: user } }));
      expect(sent(guarded.tokens)).to.deep.equal([basic]);
      expect(sent(moved)).to.deep.equal([undefined]);
    });

    it('never posts an identity token to where it is redirected', async () => {
      const guarded = await startGuarded();
      const thief = await started((_request, response) => response.end('{"token":"x"}'));
      guarded.tokenAnswer = (_request, response) => response.writeHead(307, { location: `${thief.url}/t` }).end();
      const rig = openRig(guarded.registry.authority, { registry: { credentials: { identityToken: 'refresh-me' } } });
      expect(await evidenceOf(manifest(rig))).to.deep.include({ kind: 'status', status: 307, from: 'token-service' });
      expect(thief.seen).to.have.length(0);
    });
  });

  describe('by Basic', () => {
    const basicRegistry = (): Promise<TestServer> =>
      started((request, response) => {
        if (request.headers.authorization === basic) response.end('{}');
        else response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      });

    it('sends user and password after the challenge, and at once from then on', async () => {
      const registry = await basicRegistry();
      const rig = openRig(registry.authority, { registry: { credentials: user } });
      await manifest(rig);
      await manifest(rig);
      expect(sent(registry)).to.deep.equal([undefined, basic, basic]);
    });
    for (const [title, credentials] of [
      ['no credentials', 'none'],
      ['an identity token', { identityToken: 'x' }],
      ['a registry token', { registryToken: 'x' }],
    ] as const) {
      it(`sends nothing with ${title}`, async () => {
        const registry = await basicRegistry();
        const rig = openRig(registry.authority, { registry: { credentials } });
        expect(await evidenceOf(manifest(rig))).to.deep.include({ kind: 'status', status: 401, from: 'registry' });
        expect(sent(registry)).to.deep.equal([undefined]);
      });
    }
  });

  describe('is refused to', () => {
    const challenged = (challenge: string | string[] | null): Promise<TestServer> =>
      started((_request, response) => {
        response.statusCode = 401;
        if (challenge !== null) response.setHeader('www-authenticate', challenge);
        response.end();
      });
    const cases: readonly [string, string | null, object][] = [
      ['a realm that is no URL', 'Bearer realm="/token"', { kind: 'auth', code: 'challenge-malformed' }],
      ['a realm of another scheme', 'Bearer realm="ftp://x.example/"', { kind: 'auth', code: 'realm-untrusted' }],
      ['a realm with a user in it', 'Bearer realm="https://u:p@x.example/"', { kind: 'auth', code: 'realm-untrusted' }],
      [
        'a realm at the metadata service',
        'Bearer realm="http://169.254.169.254/"',
        { kind: 'auth', code: 'realm-untrusted' },
      ],
      ['a challenge that cannot be read', 'Bearer realm="', { kind: 'auth', code: 'challenge-malformed' }],
      ['a challenge without a realm', 'Bearer service="x"', { kind: 'auth', code: 'challenge-malformed' }],
      ['schemes that no registry has', 'Negotiate', { kind: 'status', status: 401, from: 'registry', specCodes: [] }],
      ['a 401 without any challenge', null, { kind: 'status', status: 401, from: 'registry', specCodes: [] }],
    ];
    for (const [title, challenge, evidence] of cases) {
      it(title, async () => {
        const registry = await challenged(challenge);
        const rig = openRig(registry.authority, { registry: { credentials: user } });
        expect(await evidenceOf(manifest(rig))).to.deep.equal(evidence);
        expect(sent(registry)).to.deep.equal([undefined]);
      });
    }

    it('whoever a redirect leads to, whatever it claims (CVE-2020-15157)', async () => {
      for (const challenge of ['Basic realm="x"', 'bearer']) {
        const thief = await started((request, response) => {
          response.statusCode = 401;
          const own = `Bearer realm="http://${request.headers.host}/token",service="registry.docker.io"`;
          response.setHeader('www-authenticate', challenge === 'bearer' ? own : challenge);
          response.end();
        });
        const registry = await started((_request, response) =>
          response.writeHead(307, { location: `${thief.url}/x` }).end(),
        );
        const rig = openRig(registry.authority, { registry: { credentials: user } });
        expect(await evidenceOf(manifest(rig))).to.deep.equal({
          kind: 'status',
          status: 401,
          from: 'storage',
          specCodes: [],
        });
        expect(thief.seen.map(({ url }) => url)).to.deep.equal(['/x']);
        expect(sent(thief)).to.deep.equal([undefined]);
      }
    });

    it('the registry itself when the request comes back through somebody else', async () => {
      const hop = await started((_request, response) =>
        response.writeHead(307, { location: `${registry.url}/back` }).end(),
      );
      const registry: TestServer = await started((request, response) => {
        if (request.url === '/back') response.end('{}');
        else if (request.headers.authorization === basic) response.writeHead(307, { location: `${hop.url}/x` }).end();
        else response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      });
      await manifest(openRig(registry.authority, { registry: { credentials: user } }));
      expect(sent(registry)).to.deep.equal([undefined, basic, undefined]);
      expect(sent(hop)).to.deep.equal([undefined]);
    });
  });

  describe('with credentials that had been accepted', () => {
    interface Changing extends CredentialSource {
      credentials: Credentials | null;
      readonly reads: boolean[];
    }
    function changing(credentials: Credentials | null): Changing {
      const reads: boolean[] = [];
      const source: Changing = {
        credentials,
        reads,
        get: (query) => {
          reads.push(query?.fresh === true);
          return Promise.resolve(source.credentials);
        },
      };
      return source;
    }
    const passwordRegistry = async (): Promise<{ registry: TestServer; accept: { password: string | null } }> => {
      const accept: { password: string | null } = { password: 'hunter22' };
      const registry = await started((request, response) => {
        const wanted = `Basic ${Buffer.from(`me:${accept.password}`).toString('base64')}`;
        if (request.headers.authorization === wanted) response.end('{}');
        else response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end('no');
      });
      return { registry, accept };
    };

    it('reads them again when they are rejected, and goes on with what it finds', async () => {
      const { registry, accept } = await passwordRegistry();
      const source = changing(user);
      const rejected: string[] = [];
      const rig = openRig(registry.authority, {
        client: { credentials: source, onCredentialsRejected: (pullId) => rejected.push(pullId) },
      });
      await manifest(rig);
      accept.password = 'rotated';
      source.credentials = { username: 'me', password: 'rotated' };
      // Somebody else noticed the change first: what this source says has to be asked for again.
      const stale = changing(user);
      stale.get = (query) => Promise.resolve(query?.fresh === true ? source.credentials : user);
      const late = createRegistryClient(rig.client.registry, rig.transport, { credentials: stale });
      await late.getManifest({ ...rig.context, repository: 'team/app', reference: 'latest' });
      expect(rejected).to.deep.equal([]);
    });

    it('reads them again once, then says that they are rejected', async () => {
      const { registry, accept } = await passwordRegistry();
      const source = changing(user);
      const rejected: string[] = [];
      const rig = openRig(registry.authority, {
        client: {
          credentials: source,
          onCredentialsRejected: (pullId, message) => rejected.push(`${pullId}: ${message}`),
        },
      });
      await manifest(rig);
      accept.password = null;
      expect(await evidenceOf(manifest(rig, 'team/other'))).to.deep.equal({
        kind: 'status',
        status: 401,
        from: 'registry',
        specCodes: [],
        acceptedBefore: true,
      });
      expect(source.reads).to.deep.equal([false, false, true]);
      expect(rejected).to.deep.equal(['pull-1: no']);
      expect(registry.seen.length).to.be.below(6);
    });

    it('does so as well where the token service rejects them', async () => {
      const guarded = await startGuarded();
      const source = changing(user);
      const rejected: string[] = [];
      const rig = openRig(guarded.registry.authority, {
        client: { credentials: source, onCredentialsRejected: (_pullId, message) => rejected.push(message) },
      });
      await manifest(rig);
      guarded.good.clear();
      guarded.tokenAnswer = (_request, response) => {
        response.statusCode = 401;
        response.end('{"details":"incorrect username or password"}');
      };
      expect(await evidenceOf(manifest(rig))).to.deep.equal({
        kind: 'status',
        status: 401,
        from: 'token-service',
        specCodes: [],
        acceptedBefore: true,
      });
      expect(rejected).to.deep.equal(['incorrect username or password']);
      expect(source.reads.filter((fresh) => fresh)).to.have.length(1);
      expect(guarded.tokens.seen).to.have.length(3);
    });

    it('does not for a repository that they never opened: that is a denial', async () => {
      const guarded = await startGuarded((service) => `Bearer realm="${service.url}/t"`);
      const source = changing(user);
      const rejected: string[] = [];
      const rig = openRig(guarded.registry.authority, {
        client: { credentials: source, onCredentialsRejected: (_pullId, message) => rejected.push(message) },
      });
      await manifest(rig);
      guarded.tokenAnswer = (_request, response) => response.end('{"token":"without-access"}');
      expect(await evidenceOf(manifest(rig, 'team/private'))).not.to.have.property('acceptedBefore');
      guarded.tokenAnswer = (_request, response) => response.writeHead(403).end();
      expect(await evidenceOf(manifest(rig, 'team/secret'))).to.deep.include({ status: 403, from: 'token-service' });
      expect(rejected).to.deep.equal([]);
      expect(source.reads).not.to.include(true);
    });

    it('blames nobody where there are none: a repository that was public', async () => {
      const guarded = await startGuarded();
      const source = changing(null);
      const rejected: string[] = [];
      const rig = openRig(guarded.registry.authority, {
        client: { credentials: source, onCredentialsRejected: (_pullId, message) => rejected.push(message) },
      });
      await manifest(rig);
      guarded.good.clear();
      guarded.tokenAnswer = (_request, response) => response.end('{"token":"useless"}');
      expect(await evidenceOf(manifest(rig))).to.deep.include({ status: 401, acceptedBefore: true });
      expect(rejected).to.deep.equal([]);
      expect(source.reads.filter((fresh) => fresh)).to.have.length(1);
    });
  });

  it('says so when the credentials cannot be read, and asks the registry nothing', async () => {
    const registry = await started((_request, response) => response.end('{}'));
    const rig = openRig(registry.authority, {
      client: {
        credentials: {
          get: () => Promise.reject(new CredentialsUnavailableError('helper-failed', 'docker-credential-x failed')),
        },
      },
    });
    const error = await failureOf(manifest(rig));
    expect(error).to.deep.include({
      evidence: { kind: 'auth', code: 'credentials-unavailable' },
      detail: 'docker-credential-x failed',
    });
    expect(registry.seen).to.have.length(0);
  });

  it('tells an identity that is equal for equal credentials, and an abort while they are read', async () => {
    const registry = registryAt('127.0.0.1:1', { credentials: user });
    const { transport } = openRig('127.0.0.1:1');
    const client = createRegistryClient(registry, transport);
    const same = createRegistryClient(registry, transport, { credentials: fixedCredentials({ ...user }) });
    const signal = new AbortController().signal;
    expect(await client.credentialIdentity(signal)).to.equal(await same.credentialIdentity(signal));
    const stuck = createRegistryClient(registry, transport, {
      credentials: { get: () => new Promise(() => undefined) },
    });
    const ending = new AbortController();
    const waiting = failureOf(stuck.credentialIdentity(ending.signal));
    ending.abort('enough');
    expect(await waiting).to.equal('enough');
  });
});
