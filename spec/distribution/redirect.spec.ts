import { expect } from 'chai';
import fc from 'fast-check';
import { headersOf } from '../../lib/distribution/headers.js';
import { isRedirect, redirectTarget } from '../../lib/distribution/redirect.js';

describe('a Location', () => {
  const from = new URL('https://registry.example:8443/v2/a/blobs/sha256:1?x=1');
  const target = (location: string | string[], base: URL = from): string => {
    const found = redirectTarget(base, headersOf({ location }));
    return 'url' in found ? found.url.href : found.refused;
  };

  const followed: readonly [string, string][] = [
    ['https://cdn.example/blob?sig=a%2Fb', 'https://cdn.example/blob?sig=a%2Fb'],
    ['/other?y=2', 'https://registry.example:8443/other?y=2'],
    ['./next', 'https://registry.example:8443/v2/a/blobs/next'],
    ['//cdn.example/x', 'https://cdn.example/x'],
    ['?z', 'https://registry.example:8443/v2/a/blobs/sha256:1?z'],
    ['https://cdn.example/x#part', 'https://cdn.example/x'],
    [Buffer.from('/bl\u00f6b').toString('latin1'), 'https://registry.example:8443/bl%C3%B6b'],
    ['/bl\u00f6b', 'https://registry.example:8443/bl%C3%B6b'],
  ];
  for (const [location, expected] of followed) {
    it(`may be ${location}`, () => expect(target(location)).to.equal(expected));
  }

  it('never leads from https to http', () => {
    expect(target('http://registry.example:8443/other')).to.equal('redirect-downgrade');
  });
  it('may lead from http to http and to https', () => {
    const plain = new URL('http://registry.example/');
    expect(target('http://cdn.example/', plain)).to.equal('http://cdn.example/');
    expect(target('https://cdn.example/', plain)).to.equal('https://cdn.example/');
  });
  for (const location of [
    '',
    'http://',
    'https://user@cdn.example/',
    'https://user:secret@cdn.example/',
    'https://:secret@cdn.example/',
    'ftp://cdn.example/',
    'file:///etc/passwd',
    'data:,x',
    'javascript:alert(1)',
    'https://[::1/',
    'https://cdn.example:99999/',
    'sha256:2',
  ]) {
    it(`is malformed: ${JSON.stringify(location)}`, () => expect(target(location)).to.equal('redirect-malformed'));
  }
  it('is malformed when there are two, or none', () => {
    expect(target(['https://a.example/', 'https://b.example/'])).to.equal('redirect-malformed');
    expect(redirectTarget(from, headersOf({}))).to.deep.equal({ refused: 'redirect-malformed' });
  });
  it('of an https answer leads to https without a user or is refused, whatever it holds', () => {
    const location = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.webUrl(),
      fc.webUrl().map((url) => url.replace('//', '//u:p@')),
    );
    fc.assert(
      fc.property(location, (value) => {
        const found = redirectTarget(from, headersOf({ location: value }));
        expect('refused' in found || (found.url.protocol === 'https:' && found.url.username === '')).to.equal(true);
      }),
    );
  });
  it('belongs to exactly these statuses', () => {
    const statuses = Array.from({ length: 500 }, (_, index) => index + 100).filter(isRedirect);
    expect(statuses).to.deep.equal([301, 302, 303, 307, 308]);
  });
});
