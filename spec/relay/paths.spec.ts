import { expect } from 'chai';
import fc from 'fast-check';
import { parseTarget } from '../../lib/relay/paths.js';

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;
const repository = 'pull-failover/1-2-abc-3/quay.io/a__b/c--d.e';

describe('the target of a request to the relay', () => {
  for (const [target, expected] of [
    ['/v2/', { kind: 'ping' }],
    ['/v2', { kind: 'ping' }],
    ['/v2/?ns=quay.io', { kind: 'ping' }],
    [`/v2/${repository}/manifests/3.0`, { kind: 'manifest', repository, tag: '3.0' }],
    [`/v2/${repository}/manifests/${digest}`, { kind: 'manifest', repository, digest }],
    [`/v2/${repository}/manifests/${digest}?ns=a`, { kind: 'manifest', repository, digest }],
    [`/v2/${repository}/blobs/${digest}`, { kind: 'blob', repository, digest }],
    [`/v2/${repository}/referrers/${digest}`, { kind: 'referrers', repository }],
    [`/v2/${repository}/referrers/${digest}?artifactType=x`, { kind: 'referrers', repository }],
    // A repository may be called as its parts are.
    [`/v2/a/blobs/manifests/blobs/${digest}`, { kind: 'blob', repository: 'a/blobs/manifests', digest }],
  ] as const) {
    it(`${target.slice(0, 60)} is a ${expected.kind}`, () => {
      expect(parseTarget(target)).to.deep.equal(expected);
    });
  }

  for (const target of [
    '',
    '/',
    '*',
    '/v1/',
    '/v2/_catalog',
    '//v2/',
    '/v2//',
    'http://127.0.0.1/v2/',
    `/v2/../v2/${repository}/blobs/${digest}`,
    `/v2/${repository}/../x/blobs/${digest}`,
    `/v2/%2e%2e/blobs/${digest}`,
    `/v2/a%2Fb/blobs/${digest}`,
    `/v2//a/blobs/${digest}`,
    `/v2/A/blobs/${digest}`,
    `/v2/a/blobs/${digest}/`,
    `/v2/a/blobs/${digest}\0`,
    `/v2/a/blobs/${digest.toUpperCase()}`,
    `/v2/a/blobs/${digest.slice(0, -1)}`,
    '/v2/a/blobs/md5:0123',
    '/v2/a/blobs/../../etc/passwd',
    `/v2/a/blobs/${encodeURIComponent(digest)}`,
    `/v2/a/blobs/uploads/`,
    '/v2/a/manifests/',
    '/v2/a/manifests/a/b',
    '/v2/a/manifests/..%2f',
    '/v2/a/tags/list',
    `/v2/${'a/'.repeat(400)}a/blobs/${digest}`,
  ]) {
    it(`${JSON.stringify(target.slice(0, 60))} names nothing`, () => {
      expect(parseTarget(target)).to.deep.equal({ kind: 'unknown' });
    });
  }

  it('is read from any text, quickly and without harm', () => {
    const part = fc.constantFrom('/v2/', 'a', '/', '..', '-', 'blobs/', 'manifests/', digest, '?', '%', 'sha256:');
    const text = fc.oneof(
      fc.string(),
      fc.array(part, { maxLength: 200 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text, (target) => {
        const read = parseTarget(target);
        if ('repository' in read) expect(target.startsWith(`/v2/${read.repository}/`)).to.equal(true);
      }),
    );
  });
});
