import { expect } from 'chai';
import { credentialsFor } from '../../lib/drop-in/auth-config.js';
import { parseReference } from '../../lib/image/reference.js';

const quay = parseReference('quay.io/team/app:1');
const hub = parseReference('team/app:1');
const local = parseReference('127.0.0.1:5000/team/app:1');
const basic = { username: 'ann', password: 's3cret' };

const encoded = (value: unknown, encoding: BufferEncoding): string =>
  Buffer.from(JSON.stringify(value)).toString(encoding);

describe("a caller's authconfig", () => {
  it('is for the image’s own registry where it names none', () => {
    expect(credentialsFor(quay, basic)).to.deep.equal(basic);
    expect(credentialsFor(quay, { ...basic, serveraddress: '' })).to.deep.equal(basic);
    expect(credentialsFor(quay, { ...basic, email: 'a@b.c', registryAddress: 'other.example' })).to.deep.equal(basic);
  });

  const addresses: readonly (readonly [string, typeof quay, boolean])[] = [
    ['quay.io', quay, true],
    ['https://quay.io', quay, true],
    ['https://QUAY.io/v1/', quay, true],
    ['http://quay.io/v2/', quay, true],
    ['quay.io:5000', quay, false],
    ['docker.io', quay, false],
    ['quay.io.example', quay, false],
    ['evil.example/quay.io', quay, false],
    ['https://evil.example@quay.io', quay, false],
    ['https://index.docker.io/v1/', hub, true],
    ['index.docker.io', hub, true],
    ['docker.io', hub, true],
    ['docker.io/v1', hub, true],
    ['registry-1.docker.io', hub, true],
    ['hub.docker.com', hub, false],
    ['127.0.0.1:5000', local, true],
    ['http://127.0.0.1:5000', local, true],
    ['127.0.0.1', local, false],
    ['127.0.0.1:5001', local, false],
  ];
  for (const [serveraddress, reference, isFor] of addresses) {
    it(`that names ${serveraddress} ${isFor ? 'is' : 'is not'} for ${reference.host}`, () => {
      expect(credentialsFor(reference, { ...basic, serveraddress })).to.deep.equal(isFor ? basic : null);
    });
  }

  it('may be a token, which comes before a name and a password', () => {
    expect(credentialsFor(quay, { identitytoken: 'abc' })).to.deep.equal({ identityToken: 'abc' });
    expect(credentialsFor(quay, { ...basic, identitytoken: 'abc' })).to.deep.equal({ identityToken: 'abc' });
    expect(credentialsFor(quay, { identitytoken: 'abc', registrytoken: 'xyz' })).to.deep.equal({
      registryToken: 'xyz',
    });
    expect(credentialsFor(quay, { username: '', password: '', identitytoken: 'abc' })).to.deep.equal({
      identityToken: 'abc',
    });
  });

  it('may come encoded, as the header will carry it', () => {
    const odd = { username: 'ann', password: '???>>>', serveraddress: 'quay.io' };
    for (const form of [
      { key: encoded(odd, 'base64url') },
      { base64: encoded(odd, 'base64') },
      { base64: `${encoded(basic, 'base64url')}==` },
    ]) {
      expect(credentialsFor(quay, form)).to.include({ username: 'ann' });
      expect(credentialsFor(quay, form)?.constructor).to.equal(Object);
    }
    expect(credentialsFor(hub, { key: encoded(odd, 'base64url') })).to.equal(null);
  });

  it('is nobody’s where it cannot be credentials, as a daemon takes it', () => {
    for (const nothing of [
      undefined,
      null,
      '',
      'ann:s3cret',
      [],
      {},
      { username: '', password: '' },
      { auth: 'YW5uOnMzY3JldA==' },
      { key: 'not json' },
      { key: encoded('text', 'base64url') },
      { username: 'a:b', password: 'c' },
      { username: 'ann', password: 'a\nb' },
      { ...basic, serveraddress: 7 },
    ]) {
      expect(credentialsFor(quay, nothing), JSON.stringify(nothing)).to.equal(null);
    }
  });
});
