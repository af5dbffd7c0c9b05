import { expect } from 'chai';
import { type RegistryDouble, seededImage, startRegistryDouble } from '../../lib/testing/index.js';
import { ask, type PlainRequest } from './plain-client.js';

const image = seededImage({ bytes: 3_000 });
const blob: string = image.config.digest;
const manifest = '/v2/aptible/redis/manifests/3.0';
const accept: Readonly<Record<string, string>> = { accept: image.mediaType };

const broken: readonly (readonly [rule: string, what: string, path: string, request: PlainRequest, status: number])[] =
  [
    ['method', 'a DELETE', manifest, { method: 'DELETE' }, 405],
    ['method', 'a push', '/v2/aptible/redis/blobs/uploads/', { method: 'POST' }, 405],
    ['body', 'a GET with a body', manifest, { headers: { ...accept, 'content-length': '2' }, body: '{}' }, 400],
    ['host', 'another Host', manifest, { headers: { ...accept, host: 'quay.io' } }, 400],
    ['path', 'a path of another API', '/v1/search', {}, 404],
    ['repository', 'upper case in a repository', '/v2/aptible/Redis/manifests/3.0', { headers: accept }, 400],
    ['repository', 'an empty component', '/v2/aptible//redis/manifests/3.0', { headers: accept }, 400],
    ['reference', 'a tag that is none', '/v2/aptible/redis/manifests/-3.0', { headers: accept }, 400],
    ['reference', 'upper case in a digest', `/v2/aptible/redis/blobs/${blob.toUpperCase()}`, {}, 400],
    ['reference', 'a digest that is too short', `/v2/aptible/redis/blobs/${blob.slice(0, -1)}`, {}, 400],
    ['reference', 'a tag for a blob', '/v2/aptible/redis/blobs/3.0', {}, 400],
    ['accept', 'a manifest without Accept', manifest, {}, 400],
    ['accept', 'a manifest of any type', manifest, { headers: { accept: '*/*' } }, 400],
    [
      'accept-encoding',
      'a blob that may be encoded',
      `/v2/aptible/redis/blobs/${blob}`,
      { headers: { 'accept-encoding': 'gzip' } },
      400,
    ],
    ['range', 'a range of two parts', `/v2/aptible/redis/blobs/${blob}`, { headers: { range: 'bytes=0-1,3-4' } }, 400],
    ['range', 'a suffix', `/v2/aptible/redis/blobs/${blob}`, { headers: { range: 'bytes=-5' } }, 400],
    [
      'range',
      'a range that ends before it begins',
      `/v2/aptible/redis/blobs/${blob}`,
      { headers: { range: 'bytes=5-4' } },
      400,
    ],
    ['range', 'a range of a manifest', manifest, { headers: { ...accept, range: 'bytes=0-' } }, 400],
    [
      'authorization',
      'credentials nobody asked for',
      manifest,
      { headers: { ...accept, authorization: 'Basic eDp5' } },
      400,
    ],
  ];

describe('the strictness of a registry double', () => {
  let registry: RegistryDouble;

  async function start(strict: boolean): Promise<void> {
    registry = await startRegistryDouble({ images: { 'aptible/redis:3.0': image }, strict });
  }
  afterEach(async () => {
    await registry.close();
  });

  for (const [rule, what, path, request, status] of broken) {
    it(`refuses ${what} and writes it down`, async () => {
      await start(true);
      const answer = await ask(`${registry.url}${path}`, request);
      expect(answer.status).to.equal(status);
      expect(JSON.parse(answer.body.toString('utf8'))).to.have.nested.property('errors[0].code');
      expect(registry.violations.map((violation) => violation.rule)).to.deep.equal([rule]);
      expect(registry.violations[0]?.request).to.equal(registry.requests[0]);
    });
  }

  it('answers a range behind the end with 416 as others do, but writes it down', async () => {
    registry = await startRegistryDouble({ images: { 'aptible/odd:1': seededImage({ bytes: [0, 10] }) } });
    const [empty, ten] = seededImage({ bytes: [0, 10] }).layers;
    for (const [digest, start] of [
      [empty?.digest, 0],
      [ten?.digest, 10],
    ]) {
      const headers = { range: `bytes=${start}-` };
      expect((await ask(`${registry.url}/v2/aptible/odd/blobs/${digest}`, { headers })).status).to.equal(416);
    }
    expect(registry.violations.map(({ detail }) => detail)).to.deep.equal(['byte 0 of 0', 'byte 10 of 10']);
  });

  it('minds nothing about a well-behaved client', async () => {
    await start(true);
    for (const [path, headers] of [
      ['/v2/', {}],
      [manifest, accept],
      [`${manifest}?ns=quay.io`, accept],
      [`/v2/aptible/redis/blobs/${blob}`, { 'accept-encoding': 'identity' }],
      [`/v2/aptible/redis/blobs/${blob}`, { range: 'bytes=0-' }],
    ] as const) {
      expect((await ask(`${registry.url}${path}`, { headers })).status).to.be.within(200, 206);
    }
    expect((await ask(registry.url.replace('127.0.0.1', 'localhost') + '/v2/')).status).to.equal(200);
    expect(registry.violations).to.deep.equal([]);
  });

  it('only writes down what real registries would let pass, when told not to be strict', async () => {
    await start(false);
    const statuses = await Promise.all([
      ask(`${registry.url}${manifest}`).then(({ status }) => status),
      ask(`${registry.url}/v2/aptible/redis/blobs/${blob}`, { headers: { 'accept-encoding': 'gzip' } }).then(
        ({ status }) => status,
      ),
      ask(`${registry.url}/v2/`, { headers: { host: 'quay.io' } }).then(({ status }) => status),
      ask(`${registry.url}/v2/aptible/redis/blobs/${blob}`, { headers: { range: 'bytes=5-4' } }).then(
        ({ status }) => status,
      ),
    ]);
    expect(statuses).to.deep.equal([200, 200, 200, 400]);
    expect(registry.violations.map(({ rule }) => rule)).to.have.members(['accept', 'accept-encoding', 'host', 'range']);
  });
});
