import { inspect } from 'node:util';
import { expect } from 'chai';
import { expectTypeOf } from 'expect-type';
import { isInvalidOptionError } from '../../lib/errors/invalid-option-error.js';
import type { CredentialSource } from '../../lib/registries/credentials.js';
import type { DockerConfig } from '../../lib/registries/docker-config.js';
import { ownRegistry, parseRegistry, type Registry, type RegistryOptions } from '../../lib/registries/registry.js';
import { authority, clientCertificate, clientKey } from './certificates.js';

/** Answers with the host it was asked for. */
const dockerConfig: DockerConfig = {
  credentials: (host): CredentialSource => ({ get: () => Promise.resolve({ registryToken: host }) }),
};

function parse(input: unknown): Registry {
  return parseRegistry(input, 'registries[0]', { dockerConfig });
}

describe('a registry', () => {
  it('is a prefix with every option at its default', async () => {
    const { credentials, ...registry } = parse('quay.io/aptible');
    expect(registry).to.deep.equal({
      prefix: 'quay.io/aptible',
      host: 'quay.io',
      path: 'aptible',
      baseUrl: 'https://quay.io',
      isPrivate: false,
      tls: {},
      given: 'nothing',
      resolves: true,
      contact: true,
      maxConnections: 16,
      allowForeignUrls: false,
    });
    expect(await credentials.get()).to.deep.equal({ registryToken: 'quay.io' });
  });

  it('is the same as an object', () => {
    const { credentials: _, ...registry } = parse({ prefix: 'quay.io/aptible' });
    const { credentials: __, ...short } = parse('quay.io/aptible');
    expect(registry).to.deep.equal(short);
  });

  it('cannot be changed', () => {
    const registry = parse({ prefix: 'quay.io', cert: clientCertificate, key: clientKey });
    expect(Object.isFrozen(registry)).to.equal(true);
    expect(Object.isFrozen(registry.tls)).to.equal(true);
  });

  it('takes every option', async () => {
    const options: RegistryOptions = {
      prefix: '10.0.0.5:5000/mirror/quay.io',
      credentials: { username: 'robot', password: 'hunter2' },
      plainHttp: false,
      ca: authority,
      cert: [clientCertificate],
      key: clientKey,
      resolves: false,
      contact: true,
      maxConnections: 1024,
      allowForeignUrls: true,
    };
    const registry = parse(options);
    expect(registry).to.deep.include({
      prefix: '10.0.0.5:5000/mirror/quay.io',
      host: '10.0.0.5:5000',
      path: 'mirror/quay.io',
      baseUrl: 'https://10.0.0.5:5000',
      isPrivate: true,
      resolves: false,
      maxConnections: 1024,
      allowForeignUrls: true,
    });
    expect(registry.tls.key).to.equal(clientKey);
    expect(await registry.credentials.get()).to.deep.equal({ username: 'robot', password: 'hunter2' });
  });

  it('is not contacted, and resolves nothing, with contact: false', () => {
    expect(parse({ prefix: 'quay.io', contact: false })).to.deep.include({ contact: false, resolves: false });
  });

  describe('speaks', () => {
    const bases: readonly {
      readonly input: string | RegistryOptions;
      readonly baseUrl: string;
      readonly isPrivate: boolean;
    }[] = [
      { input: 'quay.io', baseUrl: 'https://quay.io', isPrivate: false },
      { input: 'quay.io:443', baseUrl: 'https://quay.io', isPrivate: false },
      { input: 'quay.io:8443/x', baseUrl: 'https://quay.io:8443', isPrivate: false },
      { input: 'docker.io/aptible', baseUrl: 'https://registry-1.docker.io', isPrivate: false },
      { input: 'index.docker.io/aptible', baseUrl: 'https://registry-1.docker.io', isPrivate: false },
      { input: 'registry-1.docker.io/aptible', baseUrl: 'https://registry-1.docker.io', isPrivate: false },
      { input: 'localhost', baseUrl: 'http://localhost', isPrivate: true },
      { input: 'localhost:5000/x', baseUrl: 'http://localhost:5000', isPrivate: true },
      { input: '127.0.0.2:5000', baseUrl: 'http://127.0.0.2:5000', isPrivate: true },
      { input: '[::1]:5000', baseUrl: 'http://[::1]:5000', isPrivate: true },
      { input: '10.0.0.5:5000', baseUrl: 'https://10.0.0.5:5000', isPrivate: true },
      { input: '169.254.169.254', baseUrl: 'https://169.254.169.254', isPrivate: true },
      { input: '8.8.8.8', baseUrl: 'https://8.8.8.8', isPrivate: false },
      {
        input: { prefix: 'localhost:5000', plainHttp: false },
        baseUrl: 'https://localhost:5000',
        isPrivate: true,
      },
      { input: { prefix: 'localhost:5000', ca: authority }, baseUrl: 'https://localhost:5000', isPrivate: true },
      {
        input: { prefix: 'registry.corp:5000', plainHttp: true },
        baseUrl: 'http://registry.corp:5000',
        isPrivate: true,
      },
    ];
    for (const { input, baseUrl, isPrivate } of bases) {
      it(`${baseUrl} for ${inspect(input, { breakLength: Infinity, maxStringLength: 30 })}`, () => {
        expect(parse(input)).to.deep.include({ baseUrl, isPrivate });
      });
    }
  });

  it('is Docker Hub under each of its names', async () => {
    for (const host of ['docker.io', 'index.docker.io', 'registry-1.docker.io']) {
      const registry = parse(`${host}/aptible`);
      expect(registry).to.deep.include({ prefix: 'docker.io/aptible', host: 'docker.io' });
      expect(await registry.credentials.get()).to.deep.equal({ registryToken: 'docker.io' });
    }
  });

  it(`that an image's own name leads to is its whole host`, () => {
    expect(ownRegistry('quay.io', { dockerConfig })).to.deep.include({ prefix: 'quay.io', host: 'quay.io', path: '' });
  });

  describe('is refused', () => {
    const refused: readonly { readonly input: unknown; readonly option: string; readonly says: string }[] = [
      { input: undefined, option: '', says: 'must be a prefix' },
      { input: 7, option: '', says: 'must be a prefix' },
      { input: ['quay.io'], option: '', says: 'must be a prefix' },
      { input: {}, option: '.prefix', says: 'is missing' },
      { input: { prefix: '' }, option: '.prefix', says: 'non-empty string, got ""' },
      { input: { prefix: 7 }, option: '.prefix', says: 'got 7' },
      { input: '', option: '', says: 'empty' },
      { input: 'aptible/redis', option: '', says: 'must start with a host' },
      { input: 'quay.io/', option: '', says: 'repository is missing' },
      { input: 'quay.io/Aptible', option: '', says: 'lower case' },
      { input: 'quay.io//x', option: '', says: 'each part' },
      { input: 'quay.io/redis:3.0', option: '', says: 'each part' },
      { input: 'quay.io:99999/x', option: '', says: 'port' },
      { input: 'https://quay.io/aptible', option: '', says: 'without a scheme' },
      { input: 'robot:hunter2@quay.io/aptible', option: '', says: 'without user' },
      { input: 'https://robot:hunter2@quay.io/aptible', option: '', says: 'without a scheme' },
      { input: { prefix: 'quay.io', credential: 'hunter2' }, option: '.credential', says: 'unknown' },
      { input: { prefix: 'quay.io', plainHTTP: true }, option: '.plainHTTP', says: 'is unknown (value true)' },
      { input: { prefix: 'quay.io', password: 'hunter2' }, option: '.password', says: 'unknown' },
      { input: { prefix: 'quay.io', credentials: 'hunter2' }, option: '.credentials', says: 'must be an object' },
      { input: { prefix: 'quay.io', maxConnections: 0 }, option: '.maxConnections', says: 'got 0' },
      { input: { prefix: 'quay.io', maxConnections: 1025 }, option: '.maxConnections', says: 'got 1025' },
      { input: { prefix: 'quay.io', maxConnections: 1.5 }, option: '.maxConnections', says: 'got 1.5' },
      { input: { prefix: 'quay.io', maxConnections: Infinity }, option: '.maxConnections', says: 'got Infinity' },
      { input: { prefix: 'quay.io', plainHttp: 'yes' }, option: '.plainHttp', says: 'true or false' },
      { input: { prefix: 'quay.io', resolves: 1 }, option: '.resolves', says: 'true or false' },
      { input: { prefix: 'quay.io', contact: null }, option: '.contact', says: 'true or false' },
      { input: { prefix: 'quay.io', allowForeignUrls: 'x' }, option: '.allowForeignUrls', says: 'true or false' },
      { input: { prefix: 'docker.io', plainHttp: true }, option: '.plainHttp', says: 'contradicts docker.io' },
      { input: { prefix: 'quay.io', plainHttp: true, ca: authority }, option: '.plainHttp', says: 'contradicts ca' },
      { input: { prefix: 'quay.io', cert: clientCertificate }, option: '.cert', says: 'contradicts' },
      { input: { prefix: 'quay.io', contact: false, resolves: true }, option: '.resolves', says: 'contradicts' },
    ];
    for (const { input, option, says } of refused) {
      it(`as ${inspect(input, { breakLength: Infinity, maxStringLength: 40 })}, naming the option`, () => {
        expect(() => parse(input))
          .to.throw(says)
          .that.satisfies(
            (error: unknown) =>
              isInvalidOptionError(error) &&
              error.option === `registries[0]${option}` &&
              !inspect(error, { showHidden: true, depth: Infinity }).includes('hunter2'),
          );
      });
    }
  });

  it('keeps its secrets out of reach of inspect and JSON', () => {
    const registry = parse({
      prefix: 'quay.io',
      credentials: { username: 'robot', password: 'hunter2' },
      cert: clientCertificate,
      key: clientKey,
    });
    const keyPiece = clientKey.split('\n')[1] ?? '';
    for (const shown of [
      inspect(registry, { showHidden: true, depth: Infinity, maxStringLength: null }),
      JSON.stringify(registry),
      JSON.stringify({ ...registry, tls: { ...registry.tls } }),
    ]) {
      expect(shown).to.include('quay.io').and.not.include('hunter2').and.not.include(keyPiece);
    }
  });

  it('has one kind of credentials, in its types too', () => {
    expectTypeOf<{ username: string; password: string }>().toExtend<NonNullable<RegistryOptions['credentials']>>();
    expectTypeOf<{ username: string }>().not.toExtend<NonNullable<RegistryOptions['credentials']>>();
    expectTypeOf<'none'>().toExtend<NonNullable<RegistryOptions['credentials']>>();
    expectTypeOf<string>().not.toExtend<NonNullable<RegistryOptions['credentials']>>();
  });
});
