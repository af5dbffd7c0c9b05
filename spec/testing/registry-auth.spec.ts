import { expect } from 'chai';
import {
  type RegistryAuth,
  type RegistryDouble,
  seededImage,
  startRegistryDouble,
  token,
} from '../../lib/testing/index.js';
import { type FakeTime, startFakeTime } from '../support/fake-time.js';
import { ask, type PlainAnswer } from './plain-client.js';

const image = seededImage({ bytes: 3_000 });
const basic = (name: string, password: string): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;

describe('the access rules of a registry double', () => {
  let registry: RegistryDouble;

  async function start(auth: RegistryAuth): Promise<void> {
    const images = { 'aptible/redis:3.0': image, 'aptible/private:1': image };
    registry = await startRegistryDouble({ images, auth });
  }
  afterEach(async () => {
    await registry.close();
  });

  const getManifest = (authorization?: string, path: string = 'aptible/redis'): Promise<PlainAnswer> =>
    ask(`${registry.url}/v2/${path}/manifests/${image.digest}`, {
      headers: { accept: image.mediaType, ...(authorization === undefined ? {} : { authorization }) },
    });
  const tokenUrl = (path: string = 'aptible/redis'): string =>
    `${registry.url}/token?service=${registry.host}&scope=repository:${path}:pull`;
  const askToken = (authorization?: string, path?: string): Promise<PlainAnswer> =>
    ask(tokenUrl(path), authorization === undefined ? {} : { headers: { authorization } });
  const fieldsOf = ({ body }: PlainAnswer): Readonly<Record<string, unknown>> =>
    JSON.parse(body.toString('utf8')) as Readonly<Record<string, unknown>>;
  const bearerOf = (answer: PlainAnswer): string => `Bearer ${String(fieldsOf(answer)['access_token'])}`;
  const postToken = (form: Readonly<Record<string, string>>): Promise<PlainAnswer> => {
    const body = new URLSearchParams({
      service: registry.host,
      scope: 'repository:aptible/redis:pull',
      ...form,
    }).toString();
    return ask(`${registry.url}/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(body.length) },
      body,
    });
  };

  it('let anybody in with an anonymous token when there are no users', async () => {
    await start({ kind: 'bearer' });
    expect((await getManifest()).status).to.equal(401);
    expect((await getManifest(bearerOf(await askToken()))).status).to.equal(200);
    expect(registry.violations).to.deep.equal([]);
  });

  it('can leave some repositories open to anybody', async () => {
    await start({ kind: 'bearer', users: { op: 'secret' }, anonymous: ['aptible/redis'] });
    expect((await getManifest(bearerOf(await askToken()))).status).to.equal(200);
    const refused = await getManifest(bearerOf(await askToken(undefined, 'aptible/private')), 'aptible/private');
    expect([refused.status, refused.headers['www-authenticate']?.includes('insufficient_scope')]).to.deep.equal([
      401,
      true,
    ]);
    const token = bearerOf(await askToken(basic('op', 'secret'), 'aptible/private'));
    expect((await getManifest(token, 'aptible/private')).status).to.equal(200);
  });

  for (const kind of ['basic', 'bearer'] as const) {
    it(`can open some repositories to a user (${kind})`, async () => {
      await start({ kind, users: { op: { password: 'secret', repositories: ['aptible/redis'] } } });
      const credentials = basic('op', 'secret');
      const authorization = async (path: string): Promise<string> =>
        kind === 'basic' ? credentials : bearerOf(await askToken(credentials, path));
      expect((await getManifest(await authorization('aptible/redis'))).status).to.equal(200);
      const refused = await getManifest(await authorization('aptible/private'), 'aptible/private');
      expect(refused.status).to.equal(kind === 'basic' ? 403 : 401);
    });

    it(`call it a violation to send the other scheme (${kind})`, async () => {
      await start({ kind, users: { op: 'secret' } });
      expect((await getManifest(kind === 'basic' ? 'Bearer abc' : basic('op', 'secret'))).status).to.equal(400);
      expect(registry.violations.map(({ rule }) => rule)).to.deep.equal(['authorization']);
    });
  }

  it('issue tokens for identity tokens and passwords by POST', async () => {
    await start({ kind: 'bearer', users: { op: 'secret' }, identityTokens: { 'refresh-1': 'op' } });
    const refreshed = await postToken({ grant_type: 'refresh_token', refresh_token: 'refresh-1', client_id: 'specs' });
    expect((await getManifest(bearerOf(refreshed))).status).to.equal(200);
    const entered = await postToken({ grant_type: 'password', username: 'op', password: 'secret', client_id: 'specs' });
    expect((await getManifest(bearerOf(entered))).status).to.equal(200);
    for (const wrong of [
      { grant_type: 'refresh_token', refresh_token: 'refresh-2' },
      { grant_type: 'refresh_token', refresh_token: 'constructor' },
      { grant_type: 'password', username: 'op', password: '' },
      {},
    ]) {
      expect((await postToken(wrong)).status).to.equal(401);
    }
  });

  it('issue none for a wrong service, another scope than pull, or a name of the language', async () => {
    await start({ kind: 'bearer', users: { op: 'secret' } });
    expect((await ask(tokenUrl().replace(/service=[^&]+/, 'service=elsewhere'))).status).to.equal(400);
    expect((await ask(tokenUrl().replace(/pull$/, 'pull,push'))).status).to.equal(400);
    expect((await askToken(basic('constructor', 'x'))).status).to.equal(401);
    expect((await askToken('Basic !!!')).status).to.equal(401);
  });

  it('name the token in one field, or in both', async () => {
    await start({ kind: 'bearer', tokenField: 'token' });
    expect(fieldsOf(await askToken())).to.have.keys('token', 'expires_in', 'issued_at');
    registry.setAuth({ kind: 'bearer', tokenField: 'access_token', expiresInSeconds: 60 });
    const fields = fieldsOf(await askToken());
    expect(fields).to.have.keys('access_token', 'expires_in', 'issued_at');
    expect(fields['expires_in']).to.equal(60);
  });

  it('forget tokens when they are revoked, or when the rules change', async () => {
    await start({ kind: 'bearer', users: { op: 'secret' } });
    const first = bearerOf(await askToken(basic('op', 'secret')));
    registry.revokeTokens();
    expect((await getManifest(first)).status).to.equal(401);
    const second = bearerOf(await askToken(basic('op', 'secret')));
    registry.setAuth({ kind: 'bearer', users: { op: 'rotated' } });
    expect((await getManifest(second)).status).to.equal(401);
    expect((await askToken(basic('op', 'secret'))).status).to.equal(401);
    expect((await getManifest(bearerOf(await askToken(basic('op', 'rotated'))))).status).to.equal(200);
    registry.setAuth(null);
    expect((await getManifest()).status).to.equal(200);
  });

  for (const [what, fault, seen] of [
    ['a status', token.status(503), [503, 'complete']],
    ['no token', token.noToken(), [200, 'complete']],
    ['malformed JSON', token.malformedJson(), [200, 'complete']],
    ['HTML', token.html(), [200, 'complete']],
    ['megabytes', token.huge(), [200, 'complete']],
    ['a cut answer', token.truncate({ afterBytes: 3 }), [200, 'ECONNRESET']],
  ] as const) {
    it(`can answer a token request with ${what}`, async () => {
      await start({ kind: 'bearer' });
      await registry.setFaults([fault]);
      const answer = await askToken();
      expect([answer.status, answer.end]).to.deep.equal(seen);
      if (fault.kind === 'huge') expect(answer.body.length).to.equal(5_000_000);
      expect(answer.body.toString('utf8')).not.to.match(/"(access_)?token":"[\w-]{20}/);
      expect((await getManifest()).status).to.equal(401);
    });
  }

  describe('in time', () => {
    let time: FakeTime;
    beforeEach(() => {
      time = startFakeTime();
    });
    afterEach(() => {
      time.restore();
    });

    it('let a token expire', async () => {
      await start({ kind: 'bearer', expiresInSeconds: 60 });
      const authorization = bearerOf(await askToken());
      await time.passMs(59_999);
      expect((await getManifest(authorization)).status).to.equal(200);
      await time.passMs(1);
      const { status, headers } = await getManifest(authorization);
      expect([status, headers['www-authenticate']?.includes('error="invalid_token"')]).to.deep.equal([401, true]);
    });
  });
});
