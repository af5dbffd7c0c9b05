import { expect } from 'chai';
import fc from 'fast-check';
import { checkCredentials, credentialIdentity } from '../../lib/registries/credentials.js';

describe('credentials', () => {
  const accepted: readonly { readonly title: string; readonly value: object }[] = [
    { title: 'a user and password', value: { username: 'robot', password: 'hunter2' } },
    { title: 'a password with colons, spaces and umlauts', value: { username: 'robot', password: 'a:b c:ü' } },
    { title: 'an empty password', value: { username: 'robot', password: '' } },
    { title: 'an identity token', value: { identityToken: 'eyJ.abc-_' } },
    { title: 'a registry token', value: { registryToken: 'eyJ.abc-_' } },
    { title: 'keys that are present and undefined', value: { registryToken: 'abc', username: undefined } },
  ];
  for (const { title, value } of accepted) {
    it(`may be ${title}`, () => {
      expect(checkCredentials(value)).to.deep.equal({
        credentials: JSON.parse(JSON.stringify(value)) as unknown,
      });
    });
  }

  const refused: readonly { readonly title: string; readonly value: unknown; readonly says: string }[] = [
    { title: 'text', value: 'robot:hunter2', says: 'must be an object' },
    { title: 'null', value: null, says: 'must be an object' },
    { title: 'an array', value: ['robot', 'hunter2'], says: 'must be an object' },
    { title: 'nothing', value: {}, says: 'has no username' },
    { title: 'a misspelt key', value: { username: 'robot', pasword: 'hunter2' }, says: 'unknown key "pasword"' },
    { title: 'a user without password', value: { username: 'robot' }, says: 'password that is not a string' },
    { title: 'a password without user', value: { password: 'hunter2' }, says: 'username that is not' },
    { title: 'an empty user', value: { username: '', password: 'hunter2' }, says: 'username that is not' },
    { title: 'a user with a colon', value: { username: 'a:b', password: 'hunter2' }, says: 'colon' },
    { title: 'a password with a line end', value: { username: 'a', password: 'hunter2\r\nX: 1' }, says: 'control' },
    { title: 'a token with a line end', value: { registryToken: 'hunter2\nX: 1' }, says: 'registryToken' },
    { title: 'an empty token', value: { identityToken: '' }, says: 'identityToken' },
    {
      title: 'two kinds at once',
      value: { username: 'a', password: 'hunter2', identityToken: 'b' },
      says: 'username and password as well as identityToken',
    },
  ];
  for (const { title, value, says } of refused) {
    it(`may not be ${title}, and the value is not shown`, () => {
      const checked = checkCredentials(value);
      expect(checked).to.have.property('problem').that.includes(says).and.does.not.include('hunter2');
    });
  }

  it('are checked without ever throwing, whatever they are', () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true }), (value) => {
        const checked = checkCredentials(value);
        expect('credentials' in checked || checked.problem !== '').to.equal(true);
      }),
    );
  });

  describe('their identity', () => {
    it('is equal exactly for equal credentials', () => {
      const all = [
        null,
        { username: 'a', password: 'b' },
        { username: 'a', password: 'c' },
        { username: 'c', password: 'b' },
        { username: 'ab', password: '' },
        { identityToken: 'b' },
        { registryToken: 'b' },
      ];
      const identities = all.map((credentials) => credentialIdentity(credentials));
      expect(new Set(identities).size).to.equal(all.length);
      expect(
        all.map((credentials) => credentialIdentity(credentials === null ? null : { ...credentials })),
      ).to.deep.equal(identities);
    });

    it('tells nothing about them, and is a plain word for none', () => {
      const identity = credentialIdentity({ username: 'robot', password: 'hunter2' });
      expect(identity).to.match(/^[\w-]{43}$/);
      expect(credentialIdentity(null)).to.equal('anonymous');
    });
  });
});
