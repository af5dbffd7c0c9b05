import { expect } from 'chai';
import { contractImages } from './registry-contract.js';
import { ask, type PlainAnswer } from '../testing/plain-client.js';

/** A registry that holds `contractImages.plain` and lets one user in. */
export interface GuardedRegistry {
  readonly url: string;
  readonly user: { readonly name: string; readonly password: string };
  close(): Promise<void>;
}

const [, image] = contractImages.plain;
const manifestPath = '/v2/aptible/redis/manifests/3.0';
const blobPath: string = `/v2/aptible/redis/blobs/${image.config.digest}`;
const basic = (name: string, password: string): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;

/** Challenges in quotes: `Bearer realm="…",service="…"`. */
function parseChallenge(header: string | undefined): { readonly scheme: string; readonly [name: string]: string } {
  const scheme = header?.split(' ')[0] ?? '';
  return {
    ...Object.fromEntries([...(header ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value])),
    scheme,
  };
}

function subject(start: () => Promise<GuardedRegistry>): {
  readonly now: () => GuardedRegistry;
  readonly get: (path: string, authorization?: string) => Promise<PlainAnswer>;
} {
  let registry: GuardedRegistry;
  before(async () => {
    registry = await start();
  });
  after(async () => {
    await registry?.close();
  });
  return {
    now: () => registry,
    get: (path, authorization) =>
      ask(`${registry.url}${path}`, {
        headers: { accept: image.mediaType, ...(authorization === undefined ? {} : { authorization }) },
      }),
  };
}

function expectUnauthorized(answer: PlainAnswer): void {
  expect(answer.status).to.equal(401);
  expect(answer.headers['content-type']).to.match(/^application\/json/);
  const { errors } = JSON.parse(answer.body.toString('utf8')) as { errors: { code: string }[] };
  expect(errors[0]?.code).to.equal('UNAUTHORIZED');
}

/** The rules of registries with passwords. */
export function describeBasicContract(start: () => Promise<GuardedRegistry>): void {
  const { now, get } = subject(start);

  for (const path of ['/v2/', manifestPath, blobPath]) {
    it(`asks for a password at ${path.slice(0, 30)}`, async () => {
      const answer = await get(path);
      expectUnauthorized(answer);
      expect(parseChallenge(answer.headers['www-authenticate'])).to.have.keys('scheme', 'realm');
      expect(parseChallenge(answer.headers['www-authenticate']).scheme).to.equal('Basic');
    });

    it(`lets the user in at ${path.slice(0, 30)}`, async () => {
      const { name, password } = now().user;
      expect((await get(path, basic(name, password))).status).to.equal(200);
    });
  }

  it('asks again after a wrong password or an unknown user', async () => {
    const { name, password } = now().user;
    expectUnauthorized(await get(manifestPath, basic(name, `${password}.`)));
    expectUnauthorized(await get(manifestPath, basic('nobody', password)));
  });
}

/** The rules of registries with tokens. */
export function describeBearerContract(start: () => Promise<GuardedRegistry>): void {
  const { now, get } = subject(start);

  async function tokenFor(scope: string | null, authorization?: string): Promise<PlainAnswer> {
    const challenge = parseChallenge((await get('/v2/')).headers['www-authenticate']);
    const url = new URL(challenge['realm'] ?? '');
    url.searchParams.set('service', challenge['service'] ?? '');
    if (scope !== null) url.searchParams.set('scope', scope);
    return ask(url.href, authorization === undefined ? {} : { headers: { authorization } });
  }
  async function bearer(scope: string | null): Promise<string> {
    const { name, password } = now().user;
    const answer = await tokenFor(scope, basic(name, password));
    expect(answer.status).to.equal(200);
    const { token } = JSON.parse(answer.body.toString('utf8')) as { token: string };
    return `Bearer ${token}`;
  }

  it('names its token service at a ping', async () => {
    const answer = await get('/v2/');
    expectUnauthorized(answer);
    const challenge = parseChallenge(answer.headers['www-authenticate']);
    expect(challenge).to.have.keys('scheme', 'realm', 'service');
    expect(challenge.scheme).to.equal('Bearer');
  });

  for (const path of [manifestPath, blobPath]) {
    it(`names the scope that is wanted for ${path.slice(0, 30)}`, async () => {
      const answer = await get(path);
      expectUnauthorized(answer);
      expect(parseChallenge(answer.headers['www-authenticate'])).to.include({
        scheme: 'Bearer',
        scope: 'repository:aptible/redis:pull',
      });
    });
  }

  it('takes a token of the scope for every request of that repository, and for a ping', async () => {
    const token = await bearer('repository:aptible/redis:pull');
    for (const path of ['/v2/', manifestPath, blobPath]) expect((await get(path, token)).status).to.equal(200);
  });

  it('refuses a token of another scope and says why', async () => {
    const answer = await get(manifestPath, await bearer('repository:aptible/other:pull'));
    expectUnauthorized(answer);
    expect(parseChallenge(answer.headers['www-authenticate'])).to.include({
      scope: 'repository:aptible/redis:pull',
      error: 'insufficient_scope',
    });
  });

  it('refuses a token that it does not know and says why', async () => {
    const answer = await get(manifestPath, 'Bearer bm90LWEtdG9rZW4.bm90LWEtdG9rZW4.bm90LWEtdG9rZW4');
    expectUnauthorized(answer);
    expect(parseChallenge(answer.headers['www-authenticate'])['error']).to.equal('invalid_token');
  });

  it('issues no token for a wrong password', async () => {
    const { name, password } = now().user;
    expect((await tokenFor('repository:aptible/redis:pull', basic(name, `${password}.`))).status).to.equal(401);
  });
}
