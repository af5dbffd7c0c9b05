import { existsSync } from 'node:fs';
import { mkdir, rename, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { expect } from 'chai';
import fc from 'fast-check';
import { helperLimitMs } from '../../lib/registries/credential-helper.js';
import { credentialReuseMs } from '../../lib/registries/credential-source.js';
import { CredentialsUnavailableError } from '../../lib/registries/credentials-unavailable.js';
import type { Credentials } from '../../lib/registries/credentials.js';
import {
  maxDockerConfigBytes,
  parseDockerConfigFile,
  readDockerConfigFile,
} from '../../lib/registries/docker-config-file.js';
import { createDockerConfig, type DockerConfig } from '../../lib/registries/docker-config.js';
import { startFakeTime } from '../support/fake-time.js';
import { answering, createDockerFolder, type DockerFolder } from './docker-folder.js';
import { failureOf } from '../support/failure-of.js';
import { until } from '../support/until.js';

const hubKey = 'https://index.docker.io/v1/';

function auth(username: string, password: string): { readonly auth: string } {
  return { auth: Buffer.from(`${username}:${password}`).toString('base64') };
}

describe(`Docker's configuration`, () => {
  let folder: DockerFolder;
  let config: DockerConfig;

  beforeEach(async () => {
    folder = await createDockerFolder();
    config = createDockerConfig({ env: folder.env });
  });

  afterEach(() => folder.remove());

  function get(host: string, fresh: boolean = false): Promise<Credentials | null> {
    return config.credentials(host).get({ fresh });
  }

  async function unavailable(host: string): Promise<string> {
    const error = await failureOf(get(host));
    expect(error).to.be.instanceOf(CredentialsUnavailableError);
    expect(inspect(error, { showHidden: true, depth: Infinity })).to.not.include('hunter2');
    return (error as CredentialsUnavailableError).problem;
  }

  describe('is found', () => {
    it('in the folder that DOCKER_CONFIG names', async () => {
      await folder.writeConfig({ auths: { 'quay.io': auth('robot', 'hunter2') } });
      expect(await get('quay.io')).to.deep.equal({ username: 'robot', password: 'hunter2' });
    });

    it('in .docker of the home folder otherwise', async () => {
      await mkdir(join(folder.path, '.docker'));
      await folder.writeConfig({ auths: { 'quay.io': auth('robot', 'hunter2') } });
      await rename(join(folder.path, 'config.json'), join(folder.path, '.docker', 'config.json'));
      const { DOCKER_CONFIG: _, ...env } = folder.env;
      for (const place of [env, { ...env, DOCKER_CONFIG: '' }]) {
        const home = createDockerConfig({ env: place, homeDirectory: folder.path });
        expect(await home.credentials('quay.io').get()).to.deep.equal({ username: 'robot', password: 'hunter2' });
      }
    });

    it('or is not there, which means anonymous', async () => {
      expect(await get('quay.io')).to.equal(null);
      const nowhere = createDockerConfig({ env: { DOCKER_CONFIG: join(folder.path, 'config.json', 'x') } });
      await folder.writeConfig({});
      expect(await nowhere.credentials('quay.io').get()).to.equal(null);
    });

    for (const text of ['', ' \n', '{}', '{"auths":null,"credHelpers":null,"credsStore":null}', '{"auths":{}}']) {
      it(`or says nothing (${JSON.stringify(text)}), which means anonymous`, async () => {
        await folder.writeConfigText(text);
        expect(await get('quay.io')).to.equal(null);
      });
    }
  });

  describe('in auths', () => {
    const entries: readonly {
      readonly title: string;
      readonly key: string;
      readonly host: string;
      readonly found: boolean;
    }[] = [
      { title: 'by host', key: 'quay.io', host: 'quay.io', found: true },
      { title: 'by host and port', key: 'quay.io:5000', host: 'quay.io:5000', found: true },
      { title: 'not by another port', key: 'quay.io:5000', host: 'quay.io', found: false },
      { title: 'not by a port where none is asked for', key: 'quay.io', host: 'quay.io:5000', found: false },
      { title: 'not by the end of a host', key: 'quay.io', host: 'evilquay.io', found: false },
      { title: 'not by the beginning of a host', key: 'quay.io', host: 'quay.io.evil.example', found: false },
      { title: 'by an old URL', key: 'https://quay.io/v1/', host: 'quay.io', found: true },
      { title: 'by an old plain URL with a port', key: 'http://quay.io:5000/v2/', host: 'quay.io:5000', found: true },
      { title: 'by an old key without scheme', key: 'quay.io/v1/', host: 'quay.io', found: true },
      { title: 'whatever the case', key: 'https://Quay.IO', host: 'quay.io', found: true },
      { title: 'by an IPv6 address', key: '[::1]:5000', host: '[::1]:5000', found: true },
      { title: 'for Docker Hub by its own key', key: hubKey, host: 'docker.io', found: true },
      { title: 'for Docker Hub by its name', key: 'docker.io', host: 'docker.io', found: true },
      { title: 'for Docker Hub by its index', key: 'https://index.docker.io', host: 'docker.io', found: true },
      { title: `for Docker Hub's API by its own key`, key: hubKey, host: 'registry-1.docker.io', found: true },
      {
        title: `not for Docker Hub by a token of Docker Desktop's`,
        key: 'https://index.docker.io/v1/access-token',
        host: 'docker.io',
        found: false,
      },
      { title: 'not by the name of a property of objects', key: 'quay.io', host: 'constructor', found: false },
      { title: 'not by the prototype', key: 'quay.io', host: '__proto__', found: false },
    ];
    for (const { title, key, host, found } of entries) {
      it(`are found ${title}`, async () => {
        await folder.writeConfig({ auths: { [key]: auth('robot', 'hunter2') } });
        expect(await get(host)).to.deep.equal(found ? { username: 'robot', password: 'hunter2' } : null);
      });
    }

    it('are taken by the exact key before an old URL', async () => {
      await folder.writeConfig({
        auths: { 'https://quay.io/v1/': auth('old', 'hunter2'), 'quay.io': auth('new', 'hunter2') },
      });
      expect(await get('quay.io')).to.deep.equal({ username: 'new', password: 'hunter2' });
    });

    const contents: readonly { readonly title: string; readonly entry: unknown; readonly means: Credentials | null }[] =
      [
        {
          title: 'a password with colons',
          entry: auth('robot', 'a:b:c'),
          means: { username: 'robot', password: 'a:b:c' },
        },
        { title: 'an empty password', entry: auth('robot', ''), means: { username: 'robot', password: '' } },
        { title: 'zero bytes around', entry: auth('robot', 'b\0\0'), means: { username: 'robot', password: 'b' } },
        { title: 'umlauts', entry: auth('robot', 'ü'), means: { username: 'robot', password: 'ü' } },
        {
          title: 'line ends in the base64',
          entry: { auth: `cm9i\nb3Q6YQ==\r\n` },
          means: { username: 'robot', password: 'a' },
        },
        {
          title: 'an identity token, beside an auth without password',
          entry: { ...auth('00000000-0000-0000-0000-000000000000', ''), identitytoken: 'eyJ.refresh' },
          means: { identityToken: 'eyJ.refresh' },
        },
        {
          title: 'a registry token before anything else',
          entry: { ...auth('a', 'b'), identitytoken: 'c', registrytoken: 'd' },
          means: { registryToken: 'd' },
        },
        {
          title: 'user and password in clear, as some tools write',
          entry: { username: 'robot', password: 'b' },
          means: { username: 'robot', password: 'b' },
        },
        { title: 'nothing, as beside a credsStore', entry: {}, means: null },
        { title: 'null', entry: null, means: null },
        { title: 'empty fields', entry: { auth: '', identitytoken: '', email: 'x' }, means: null },
      ];
    for (const { title, entry, means } of contents) {
      it(`may hold ${title}`, async () => {
        await folder.writeConfig({ auths: { 'quay.io': entry } });
        expect(await get('quay.io')).to.deep.equal(means);
      });
    }

    const malformed: readonly { readonly title: string; readonly entry: unknown }[] = [
      { title: 'text', entry: 'hunter2' },
      { title: 'an array', entry: ['hunter2'] },
      { title: 'an auth that is a number', entry: { auth: 7 } },
      { title: 'an auth that is not base64', entry: { auth: 'hunter2!' } },
      { title: 'an auth without padding', entry: { auth: 'aHVudGVyMjoxMg' } },
      { title: 'an auth without a colon', entry: { auth: Buffer.from('hunter2').toString('base64') } },
      { title: 'an auth without a user', entry: auth('', 'hunter2') },
      { title: 'an auth with a line end', entry: auth('robot', 'hunter2\r\nX: 1') },
      { title: 'a token that is a number', entry: { identitytoken: 7 } },
      { title: 'a user without password', entry: { username: 'hunter2' } },
    ];
    for (const { title, entry } of malformed) {
      it(`break only their own registry when they hold ${title}`, async () => {
        await folder.writeConfig({ auths: { 'quay.io': entry, 'ghcr.io': auth('robot', 'b') } });
        expect(await unavailable('quay.io')).to.equal('config-malformed');
        expect(await get('ghcr.io')).to.deep.equal({ username: 'robot', password: 'b' });
        expect(await get('docker.io')).to.equal(null);
      });
    }
  });

  describe('that is malformed', () => {
    for (const text of [
      '{"auths": hunter2',
      'hunter2',
      '[]',
      'null',
      '"hunter2"',
      '{"auths":["hunter2"]}',
      '{"credHelpers":"hunter2"}',
      '{"credsStore":{"a":"hunter2"}}',
      `{"x":"${'hunter2'.repeat(maxDockerConfigBytes / 7)}"}`,
    ]) {
      it(`makes credentials unavailable, naming the file and showing nothing of it: ${text.slice(0, 40)}`, async () => {
        await folder.writeConfigText(text);
        expect(await unavailable('quay.io')).to.equal('config-malformed');
        expect(await failureOf(get('quay.io')))
          .to.have.property('message')
          .that.includes(join(folder.path, 'config.json'));
      });
    }

    it('is as large as allowed without being malformed', async () => {
      const filled = JSON.stringify({ auths: { 'quay.io': auth('robot', 'b') } });
      await folder.writeConfigText(filled + ' '.repeat(maxDockerConfigBytes - filled.length));
      expect(await get('quay.io')).to.deep.equal({ username: 'robot', password: 'b' });
    });

    it('is used again when it has been mended', async () => {
      await folder.writeConfigText('{');
      expect(await unavailable('quay.io')).to.equal('config-malformed');
      await folder.writeConfig({ auths: { 'quay.io': auth('robot', 'b') } });
      expect(await get('quay.io')).to.deep.equal({ username: 'robot', password: 'b' });
    });

    it('is unreadable when it is a folder', async () => {
      await mkdir(join(folder.path, 'config.json'));
      expect(await unavailable('quay.io')).to.equal('config-unreadable');
    });

    it('breaks nothing else than credentials, whatever it holds', () => {
      const json = fc.oneof(
        fc.json(),
        fc.string(),
        fc
          .record(
            { auths: fc.jsonValue(), credHelpers: fc.jsonValue(), credsStore: fc.jsonValue() },
            { requiredKeys: [] },
          )
          .map((value) => JSON.stringify(value)),
        fc
          .dictionary(
            fc.constantFrom('quay.io', 'https://quay.io/v1/'),
            fc.dictionary(
              fc.constantFrom('auth', 'identitytoken', 'registrytoken', 'username', 'password'),
              fc.jsonValue(),
            ),
          )
          .map((auths) => JSON.stringify({ auths })),
      );
      fc.assert(
        fc.property(json, (text) => {
          try {
            const file = parseDockerConfigFile(text, '/x/config.json', '1');
            file.helperFor('quay.io');
            file.credentialsFor('quay.io');
          } catch (error) {
            expect(error).to.be.instanceOf(CredentialsUnavailableError);
          }
        }),
      );
    });
  });

  describe('is read again', () => {
    it('when it has changed', async () => {
      await folder.writeConfig({ auths: { 'quay.io': auth('robot', 'first') } });
      expect(await get('quay.io')).to.deep.equal({ username: 'robot', password: 'first' });
      await folder.writeConfig({ auths: { 'quay.io': auth('robot', 'second') } });
      expect(await get('quay.io')).to.deep.equal({ username: 'robot', password: 'second' });
      await writeFile(join(folder.path, 'new.json'), JSON.stringify({ auths: { 'quay.io': auth('robot', 'third!') } }));
      await rename(join(folder.path, 'new.json'), join(folder.path, 'config.json'));
      expect(await get('quay.io')).to.deep.equal({ username: 'robot', password: 'third!' });
    });

    it('for a fresh answer, although it does not seem to have changed', async () => {
      const path = join(folder.path, 'config.json');
      await folder.writeConfig({ auths: { 'quay.io': auth('robot', 'first') } });
      await get('quay.io');
      const { atime, mtime } = await stat(path);
      await folder.writeConfig({ auths: { 'quay.io': auth('robot', 'other') } });
      await utimes(path, atime, mtime);
      expect(await get('quay.io', true)).to.deep.equal({ username: 'robot', password: 'other' });
    });

    it('as the same version while its text is the same, so that waiters of one helper stay together', async () => {
      const path = join(folder.path, 'config.json');
      await folder.writeConfig({ credsStore: 'spec' });
      const first = await readDockerConfigFile(path, null, false);
      expect(await readDockerConfigFile(path, first, false)).to.equal(first);
      const touched = await readDockerConfigFile(path, first, true);
      expect(touched?.version).to.equal(first?.version);
      await folder.writeConfig({ credsStore: 'else' });
      const changed = await readDockerConfigFile(path, first, true);
      expect(changed?.version).to.not.equal(first?.version);
    });

    it('when it has gone, or come', async () => {
      expect(await get('quay.io')).to.equal(null);
      await folder.writeConfig({ auths: { 'quay.io': auth('robot', 'b') } });
      expect(await get('quay.io')).to.deep.equal({ username: 'robot', password: 'b' });
      await rename(join(folder.path, 'config.json'), join(folder.path, 'gone.json'));
      expect(await get('quay.io')).to.equal(null);
    });
  });

  describe('with helpers', () => {
    it('asks the helper of the registry, else the store, else auths', async () => {
      await folder.writeHelper('own', answering('own', 'a'));
      await folder.writeHelper(
        'store',
        `[ "$server" = ghcr.io ] && ${answering('store', 'b')} && exit 0
        printf 'credentials not found in native keychain'; exit 1`,
      );
      await folder.writeConfig({
        credHelpers: { 'quay.io': 'own' },
        credsStore: 'store',
        auths: { 'quay.io': auth('x', 'x'), 'ghcr.io': auth('x', 'x'), 'other.example': auth('auths', 'c') },
      });
      expect(await get('quay.io')).to.deep.equal({ username: 'own', password: 'a' });
      expect(await get('ghcr.io')).to.deep.equal({ username: 'store', password: 'b' });
      expect(await get('other.example')).to.deep.equal({ username: 'auths', password: 'c' });
      expect(await get('nobody.example')).to.equal(null);
      expect(await folder.runs()).to.deep.equal([
        'get quay.io',
        'get ghcr.io',
        'get other.example',
        'get nobody.example',
      ]);
    });

    it('asks for Docker Hub by the name that Docker keeps it under', async () => {
      await folder.writeHelper('spec', answering('robot', 'hunter2'));
      await folder.writeConfig({ credsStore: 'spec' });
      await get('docker.io');
      await folder.writeConfig({ credHelpers: { [hubKey]: 'spec' } });
      await get('docker.io');
      await folder.writeConfig({ credHelpers: { 'docker.io': 'spec' } });
      await get('docker.io');
      expect(await folder.runs()).to.deep.equal([`get ${hubKey}`, `get ${hubKey}`, 'get docker.io']);
    });

    it('takes a registry with an empty helper out of the store', async () => {
      await folder.writeHelper('store', answering('robot', 'hunter2'));
      await folder.writeConfig({
        credHelpers: { 'quay.io': '' },
        credsStore: 'store',
        auths: { 'quay.io': auth('auths', 'c') },
      });
      expect(await get('quay.io')).to.deep.equal({ username: 'auths', password: 'c' });
      expect(await folder.runs()).to.deep.equal([]);
    });

    it('breaks only its own registry when a helper is malformed or missing', async () => {
      await folder.writeConfig({
        credHelpers: { 'a.example': 7, 'b.example': '../x', 'c.example': 'absent' },
        auths: { 'quay.io': auth('robot', 'b') },
      });
      expect(await unavailable('a.example')).to.equal('config-malformed');
      expect(await unavailable('b.example')).to.equal('config-malformed');
      expect(await unavailable('c.example')).to.equal('helper-missing');
      expect(await get('quay.io')).to.deep.equal({ username: 'robot', password: 'b' });
    });

    it('runs the helper once for all registries and waiters of one host', async () => {
      await folder.writeHelper('spec', answering('robot', 'hunter2'));
      await folder.writeConfig({ credsStore: 'spec' });
      const sources = [config.credentials('quay.io'), config.credentials('quay.io')];
      const found = await Promise.all([...sources, ...sources].map((source) => source.get()));
      expect(found).to.deep.equal(Array.from({ length: 4 }, () => ({ username: 'robot', password: 'hunter2' })));
      expect(await folder.runs()).to.deep.equal(['get quay.io']);
    });

    it('lets a waiter abort without ending the helper for the others', async () => {
      await folder.writeHelper('spec', `while [ ! -e go ]; do sleep 0.02; done\n${answering('robot', 'hunter2')}`);
      await folder.writeConfig({ credsStore: 'spec' });
      const controller = new AbortController();
      const leaving = failureOf(config.credentials('quay.io').get({ signal: controller.signal }));
      const staying = get('quay.io');
      await until(() => existsSync(join(folder.path, 'runs')), 'the helper runs');
      controller.abort('caller');
      expect(await leaving).to.equal('caller');
      await writeFile(join(folder.path, 'go'), '');
      expect(await staying).to.deep.equal({ username: 'robot', password: 'hunter2' });
      expect(await folder.runs()).to.deep.equal(['get quay.io']);
    });

    it('uses what a helper said for a minute, and asks again for a fresh answer or a changed file', async () => {
      const time = startFakeTime();
      try {
        await folder.writeHelper('spec', answering('robot', 'hunter2'));
        await folder.writeConfig({ credsStore: 'spec' });
        await get('quay.io');
        await time.passMs(credentialReuseMs - 1);
        await get('quay.io');
        expect(await folder.runs()).to.have.length(1);
        await time.passMs(1);
        await get('quay.io');
        expect(await folder.runs()).to.have.length(2);
        await get('quay.io', true);
        expect(await folder.runs()).to.have.length(3);
        await get('quay.io');
        expect(await folder.runs()).to.have.length(3);
        await folder.writeConfig({ credsStore: 'spec', changed: true });
        await get('quay.io');
        expect(await folder.runs()).to.have.length(4);
      } finally {
        time.restore();
      }
    });

    it('gives up on a helper at its limit', async () => {
      const time = startFakeTime();
      try {
        await folder.writeHelper('spec', 'while [ -e runs ]; do sleep 0.1; done');
        await folder.writeConfig({ credsStore: 'spec' });
        const waiting = failureOf(get('quay.io'));
        await until(() => existsSync(join(folder.path, 'runs')), 'the helper runs');
        await time.passMs(helperLimitMs);
        const error = await waiting;
        expect(error).to.be.instanceOf(CredentialsUnavailableError).with.property('problem', 'helper-late');
        expect(error).to.have.property('message').that.includes('docker-credential-spec').and.includes('10000 ms');
      } finally {
        time.restore();
      }
    });
  });

  it('is out of reach of inspect and JSON', async () => {
    await folder.writeConfig({ auths: { 'quay.io': auth('robot', 'hunter2') } });
    const source = config.credentials('quay.io');
    await source.get();
    for (const shown of [config, source]) {
      expect(inspect(shown, { showHidden: true, depth: Infinity })).to.not.include('hunter2');
      expect(JSON.stringify(shown)).to.equal('{}');
    }
    const file = parseDockerConfigFile(JSON.stringify({ auths: { a: auth('robot', 'hunter2') } }), '/x', '1');
    expect(inspect(file, { showHidden: true, depth: Infinity })).to.not.include('hunter2');
  });
});
