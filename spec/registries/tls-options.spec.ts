import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { isInvalidOptionError } from '../../lib/errors/invalid-option-error.js';
import { parseTls, type TlsOptions } from '../../lib/registries/tls-options.js';
import { authority, clientCertificate, clientKey } from './certificates.js';

/** A piece of the key that would show if any of it did. */
const keyPiece = clientKey.split('\n')[1]?.slice(0, 24) ?? '';

const otherKey = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
}).privateKey;

const encryptedKey = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'hunter2' },
}).privateKey;

const damaged = clientCertificate.replace(/^MII/m, 'AAA');

describe('the TLS options of a registry', () => {
  it('are empty when nothing is given', () => {
    expect(parseTls({}, 'registries[0]')).to.deep.equal({});
  });

  const forms: readonly { readonly title: string; readonly ca: unknown; readonly certificates: number }[] = [
    { title: 'text', ca: authority, certificates: 1 },
    { title: 'bytes', ca: Buffer.from(authority), certificates: 1 },
    { title: 'an array', ca: [authority, new TextEncoder().encode(clientCertificate)], certificates: 2 },
    { title: 'a bundle with remarks', ca: `# one\n${authority}\n# two\n${clientCertificate}`, certificates: 2 },
    { title: 'text with Windows line ends', ca: authority.replaceAll('\n', '\r\n'), certificates: 1 },
  ];
  for (const { title, ca, certificates } of forms) {
    it(`take authorities as ${title}`, () => {
      const { ca: found } = parseTls({ ca }, 'registries[0]');
      const blocks = found?.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
      expect(blocks).to.have.length(certificates);
      expect(new X509Certificate(blocks[0] ?? '').subject).to.equal('CN=spec authority');
    });
  }

  it('give what a TLS connection can be opened with', () => {
    const tls = parseTls(
      { ca: authority, cert: [clientCertificate, authority], key: Buffer.from(clientKey) },
      'registries[0]',
    );
    expect(tls.key).to.equal(clientKey);
    expect(() => createSecureContext({ ca: tls.ca, cert: tls.cert, key: tls.key })).to.not.throw();
  });

  it('keep the key out of reach of inspect and JSON', () => {
    const tls = parseTls({ cert: clientCertificate, key: clientKey }, 'registries[0]');
    expect(inspect(tls, { showHidden: true })).to.not.include(keyPiece);
    expect(JSON.stringify(tls)).to.not.include(keyPiece);
  });

  const refused: readonly {
    readonly title: string;
    readonly options: TlsOptions;
    readonly option: string;
    readonly says: string;
  }[] = [
    { title: 'a key without cert', options: { key: clientKey }, option: 'key', says: 'contradicts a missing cert' },
    {
      title: 'a cert without key',
      options: { cert: clientCertificate },
      option: 'cert',
      says: 'contradicts a missing key',
    },
    { title: 'an empty ca', options: { ca: '' }, option: 'ca', says: 'got nothing' },
    { title: 'no authority at all', options: { ca: [] }, option: 'ca', says: 'no certificate' },
    { title: 'an empty one of several', options: { ca: [authority, ' \n'] }, option: 'ca[1]', says: 'got nothing' },
    { title: 'a path for a ca', options: { ca: '/etc/ssl/ca.pem' }, option: 'ca', says: 'no certificate in PEM' },
    { title: 'a number for a ca', options: { ca: 7 }, option: 'ca', says: 'must be PEM' },
    { title: 'null for a ca', options: { ca: null }, option: 'ca', says: 'must be PEM' },
    { title: 'a damaged ca', options: { ca: damaged }, option: 'ca', says: 'cannot be read' },
    {
      title: 'a key for a ca',
      options: { ca: clientKey },
      option: 'ca',
      says: 'no certificate in PEM',
    },
    {
      title: 'a damaged cert',
      options: { cert: damaged, key: clientKey },
      option: 'cert',
      says: 'cannot be read',
    },
    {
      title: 'an empty key',
      options: { cert: clientCertificate, key: '' },
      option: 'key',
      says: 'got nothing',
    },
    {
      title: 'a damaged key',
      options: { cert: clientCertificate, key: clientKey.replace('MIG', 'AAA') },
      option: 'key',
      says: 'no private key',
    },
    {
      title: 'several keys',
      options: { cert: clientCertificate, key: [clientKey] },
      option: 'key',
      says: 'must be PEM',
    },
    {
      title: 'a key of another certificate',
      options: { cert: clientCertificate, key: otherKey },
      option: 'key',
      says: 'does not belong',
    },
    {
      title: 'a cert whose issuer comes first',
      options: { cert: [authority, clientCertificate], key: clientKey },
      option: 'key',
      says: 'does not belong to the first certificate',
    },
    {
      title: 'an encrypted key',
      options: { cert: clientCertificate, key: encryptedKey },
      option: 'key',
      says: 'is encrypted',
    },
  ];
  for (const { title, options, option, says } of refused) {
    it(`refuse ${title}, and show nothing of it`, () => {
      expect(() => parseTls(options, 'registries[0]'))
        .to.throw(says)
        .that.satisfies(
          (error: unknown) =>
            isInvalidOptionError(error) &&
            error.option === `registries[0].${option}` &&
            !inspect(error, { showHidden: true, depth: Infinity }).includes(keyPiece),
        );
    });
  }
});
