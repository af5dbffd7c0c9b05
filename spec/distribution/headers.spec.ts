import { expect } from 'chai';
import { contentLengthOf, headersOf, isIdentityEncoded } from '../../lib/distribution/headers.js';

describe('header fields', () => {
  it('that are repeated are all there, and joined where one is wanted', () => {
    const headers = headersOf({ a: ['1', '2'], b: '3' });
    expect(headers.all('a')).to.deep.equal(['1', '2']);
    expect(headers.get('a')).to.equal('1, 2');
    expect(headers.get('b')).to.equal('3');
  });
  it('that are absent are null, also where objects have something of that name', () => {
    for (const name of ['x', 'constructor', '__proto__', 'tostring'])
      expect(headersOf({}).get(name), name).to.equal(null);
  });
  it('announce a length, no length, or nonsense', () => {
    const length = (...values: string[]): unknown => contentLengthOf(headersOf({ 'content-length': values }));
    expect(length()).to.equal(null);
    expect(length('0')).to.equal(0);
    expect(length('10', '10')).to.equal(10);
    expect(length('10, 10')).to.equal(10);
    for (const value of ['', '-1', '+1', '1.0', '0x1', '9007199254740992', '10, 11']) {
      expect(length(value), value).to.equal('malformed');
    }
  });
  it('say whether the bytes are those of the content', () => {
    for (const fields of [
      {},
      { 'content-encoding': 'identity' },
      { 'content-encoding': '' },
      { 'transfer-encoding': 'Chunked' },
    ])
      expect(isIdentityEncoded(headersOf(fields)), JSON.stringify(fields)).to.equal(true);
    for (const fields of [
      { 'content-encoding': 'gzip' },
      { 'content-encoding': 'identity, br' },
      { 'content-encoding': ['identity', 'zstd'] },
      { 'transfer-encoding': 'gzip, chunked' },
    ])
      expect(isIdentityEncoded(headersOf(fields)), JSON.stringify(fields)).to.equal(false);
  });
});
