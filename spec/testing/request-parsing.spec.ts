import { expect } from 'chai';
import fc from 'fast-check';
import { parseContentRange, parseRange, rangeHeader, spanOf, contentRange } from '../../lib/testing/byte-range.js';
import { splitName } from '../../lib/testing/registry-content.js';
import { namesOf, parseTarget } from '../../lib/testing/request-target.js';

const digest: string = `sha256:${'ab'.repeat(32)}`;

describe('what a request to a registry double says', () => {
  for (const [path, kind, repository, object] of [
    ['/v2/', 'ping', null, null],
    ['/v2', 'ping', null, null],
    ['/token', 'token', null, null],
    ['/v2/_catalog', 'catalog', null, null],
    ['/v2/a/tags/list', 'tags', 'a', null],
    ['/v2/a/b/c/manifests/3.0', 'manifest', 'a/b/c', '3.0'],
    [`/v2/a/manifests/${digest}`, 'manifest', 'a', digest],
    [`/v2/a/blobs/${digest}`, 'blob', 'a', digest],
    ['/v2/a/blobs/3.0', 'blob', 'a', '3.0'],
    ['/v2/manifests/manifests/blobs', 'manifest', 'manifests', 'blobs'],
    ['/v2/a/blobs/uploads/', 'unknown', null, null],
    ['/v2//manifests/1', 'unknown', null, null],
    ['/v1/', 'unknown', null, null],
    ['', 'unknown', null, null],
  ] as const) {
    it(`is ${kind} in ${path || 'nothing'}`, () => {
      expect(namesOf(parseTarget(path))).to.deep.equal({ kind, repository, object });
    });
  }

  it('is read from any path without an exception', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.webPath(),
          fc.string(),
          fc.string().map((text) => `/v2/${text}`),
        ),
        (path) => {
          const { kind } = parseTarget(path);
          return typeof kind === 'string';
        },
      ),
    );
  });

  for (const header of [
    'bytes=-5',
    'bytes=5-4',
    'bytes=0-1,3-4',
    'bytes=',
    'bytes=a-b',
    'items=0-1',
    'bytes 0-1/2',
    '',
  ]) {
    it(`is a malformed range in ${JSON.stringify(header)}`, () => {
      expect(parseRange(header)).to.equal('malformed');
    });
  }

  it('is the range that was written', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.option(fc.maxSafeNat()), (start, length) => {
        const end = length === null || start + length > Number.MAX_SAFE_INTEGER ? null : start + length;
        expect(parseRange(rangeHeader({ start, end }))).to.deep.equal({ start, end });
      }),
    );
    expect(parseRange(undefined)).to.equal(null);
  });

  it('means bytes within the object, and nothing behind its end', () => {
    fc.assert(
      fc.property(fc.nat(50), fc.option(fc.nat(50)), fc.nat(50), (start, length, sizeBytes) => {
        const range = { start, end: length === null ? null : start + length };
        const span = spanOf(range, sizeBytes);
        if (start >= sizeBytes) {
          expect(span).to.equal(null);
          return;
        }
        expect(span).to.deep.equal({ from: start, to: Math.min(sizeBytes, (range.end ?? sizeBytes) + 1) });
      }),
    );
    expect(spanOf(null, 7)).to.deep.equal({ from: 0, to: 7 });
  });

  it('is answered with a Content-Range that reads back', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 1e9 }), fc.option(fc.nat()), (from, length, total) => {
        const span = { from, to: from + length };
        expect(parseContentRange(contentRange(span, total))).to.deep.equal({ span, total });
      }),
    );
    for (const header of [undefined, '', 'bytes */5', 'bytes 0-/5']) expect(parseContentRange(header)).to.equal(null);
  });

  for (const [name, path, reference] of [
    ['aptible/redis:3.0', 'aptible/redis', '3.0'],
    ['redis', 'redis', 'latest'],
    [`a/b@${digest}`, 'a/b', digest],
  ] as const) {
    it(`names ${reference.slice(0, 10)} of ${path} in ${name.slice(0, 20)}`, () => {
      expect(splitName(name)).to.deep.equal({ path, reference });
    });
  }

  for (const name of ['', ':3.0', 'A/b:1', 'a/b:', 'a/b:-1', 'a//b:1', 'a/b@sha256:', '127.0.0.1:5000/a/b:1']) {
    it(`names no image in ${JSON.stringify(name)}`, () => {
      expect(() => splitName(name))
        .to.throw()
        .with.property('option', 'images');
    });
  }
});
