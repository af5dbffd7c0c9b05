import { expect } from 'chai';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import Dockerode from 'dockerode';
import { addressOf } from '../../../lib/engine/docker/docker-address.js';
import { findDockerHost, type DockerHost, type DockerHostOptions } from '../../../lib/engine/docker/docker-host.js';
import { isInvalidOptionError } from '../../../lib/errors/invalid-option-error.js';
import { useTemporaryDirectory } from '../../support/temporary-directory.js';

describe('Where the daemon is', () => {
  const home = useTemporaryDirectory();

  const find = (env: NodeJS.ProcessEnv = {}, isWindows = false): DockerHost =>
    findDockerHost({ env, homeDirectory: home.path, isWindows });

  function refusal(env: NodeJS.ProcessEnv): string {
    try {
      find(env);
    } catch (error) {
      if (isInvalidOptionError(error)) return error.message;
      throw error;
    }
    throw new Error('expected a refusal');
  }

  function writeConfig(config: unknown, directory = join(home.path, '.docker')): void {
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'config.json'), typeof config === 'string' ? config : JSON.stringify(config));
  }

  function writeContext(
    name: string,
    endpoint: unknown,
    tls: Readonly<Record<string, string>> = {},
    directory = join(home.path, '.docker'),
  ): void {
    const id = createHash('sha256').update(name).digest('hex');
    const meta = join(directory, 'contexts', 'meta', id);
    mkdirSync(meta, { recursive: true });
    writeFileSync(join(meta, 'meta.json'), JSON.stringify({ Name: name, Endpoints: { docker: endpoint } }));
    for (const [file, text] of Object.entries(tls)) {
      const folder = join(directory, 'contexts', 'tls', id, 'docker');
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, file), text);
    }
  }

  /** The options that are set. */
  const given = ({ options }: DockerHost): Partial<DockerHostOptions> =>
    Object.fromEntries(
      Object.entries(options).filter(
        ([name, value]) => value !== undefined && !['pathPrefix', 'sshOptions', 'agent'].includes(name),
      ),
    );

  it('is the socket of this machine where nobody says otherwise, or the pipe on Windows', () => {
    expect(find().address).to.equal('unix:///var/run/docker.sock');
    expect(given(find())).to.deep.equal({ socketPath: '/var/run/docker.sock' });
    expect(find({}, true).address).to.equal('npipe:////./pipe/docker_engine');
    expect(given(find({}, true))).to.deep.equal({ socketPath: '//./pipe/docker_engine' });
  });

  it('is what DOCKER_HOST says', () => {
    const hosts: readonly (readonly [string, string, Partial<DockerHostOptions>])[] = [
      [
        'unix:///run/user/1000/docker.sock',
        'unix:///run/user/1000/docker.sock',
        { socketPath: '/run/user/1000/docker.sock' },
      ],
      ['unix://', 'unix:///var/run/docker.sock', { socketPath: '/var/run/docker.sock' }],
      ['npipe:////./pipe/other', 'npipe:////./pipe/other', { socketPath: '//./pipe/other' }],
      ['tcp://10.0.0.5:2375', 'tcp://10.0.0.5:2375', { protocol: 'http', host: '10.0.0.5', port: '2375' }],
      ['tcp://10.0.0.5', 'tcp://10.0.0.5:2375', { protocol: 'http', host: '10.0.0.5', port: '2375' }],
      ['10.0.0.5:2375/', 'tcp://10.0.0.5:2375', { protocol: 'http', host: '10.0.0.5', port: '2375' }],
      ['tcp://[::1]:2375', 'tcp://[::1]:2375', { protocol: 'http', host: '[::1]', port: '2375' }],
      ['http://build:80', 'tcp://build:80', { protocol: 'http', host: 'build', port: '80' }],
      ['https://build', 'tcp://build:2376', { protocol: 'https', host: 'build', port: '2376' }],
      [
        'ssh://deploy@build:2222',
        'ssh://build:2222',
        { protocol: 'ssh', host: 'build', port: '2222', username: 'deploy' },
      ],
      ['ssh://build', 'ssh://build', { protocol: 'ssh', host: 'build' }],
    ];
    for (const [text, address, options] of hosts) {
      const host = find({ DOCKER_HOST: text });
      expect(host.address, text).to.equal(address);
      expect(given(host), text).to.deep.equal(options);
    }
  });

  it('is reached over SSH with the agent of the user', () => {
    const { options } = find({ DOCKER_HOST: 'ssh://build', SSH_AUTH_SOCK: '/run/agent' });
    expect(options.sshOptions).to.deep.equal({ agent: '/run/agent' });
  });

  it('is refused without showing it when it holds a password or makes no sense', () => {
    for (const text of [
      'tcp://user:hunter2@10.0.0.5:2375',
      'ssh://deploy:hunter2@build',
      'tcp://hunter2@10.0.0.5',
      'tcp://10.0.0.5:2375/hunter2',
      'ssh://build/hunter2.sock',
      'tcp://hunter2 space:1',
      'tcp://',
      'ssh://%zz@hunter2',
      'gopher://hunter2',
      'tcp://10.0.0.5:99999999?hunter2',
    ]) {
      expect(refusal({ DOCKER_HOST: text }), text)
        .to.match(/^Option DOCKER_HOST /)
        .and.not.include('hunter2');
    }
  });

  it('is trusted by the files of DOCKER_CERT_PATH when DOCKER_TLS_VERIFY is set to whatever', () => {
    const certificates = join(home.path, 'certs');
    mkdirSync(certificates);
    for (const name of ['ca', 'cert', 'key']) writeFileSync(join(certificates, `${name}.pem`), `the ${name}`);
    for (const verify of ['1', '0', 'no']) {
      const host = find({ DOCKER_HOST: 'tcp://build', DOCKER_TLS_VERIFY: verify, DOCKER_CERT_PATH: certificates });
      expect(host.address).to.equal('tcp://build:2376');
      expect(given(host)).to.deep.equal({
        protocol: 'https',
        host: 'build',
        port: '2376',
        ca: 'the ca',
        cert: 'the cert',
        key: 'the key',
      });
      expect(host.options.agent).to.equal(undefined);
    }
    const plain = find({ DOCKER_HOST: 'tcp://build', DOCKER_TLS_VERIFY: '', DOCKER_CERT_PATH: certificates });
    expect(plain.options.protocol).to.equal('http');
  });

  it('is trusted by the files beside config.json where DOCKER_CERT_PATH is not set', () => {
    writeConfig({});
    writeFileSync(join(home.path, '.docker', 'ca.pem'), 'the ca');
    const { options } = find({ DOCKER_HOST: 'tcp://build', DOCKER_TLS_VERIFY: '1' });
    expect(options).to.include({ protocol: 'https', ca: 'the ca', cert: undefined, key: undefined });
  });

  it('is refused when it shall be verified by files that are not there', () => {
    const message = refusal({ DOCKER_HOST: 'tcp://build', DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: home.path });
    expect(message).to.match(/DOCKER_CERT_PATH must hold ca\.pem/);
  });

  it('is not verified when only DOCKER_TLS is set', () => {
    const { options } = find({ DOCKER_HOST: 'tcp://build', DOCKER_TLS: '1' });
    expect(options.protocol).to.equal('https');
    expect(options.agent?.options.rejectUnauthorized).to.equal(false);
  });

  it('is that of the current context', () => {
    writeConfig({ currentContext: 'remote' });
    writeContext('remote', { Host: 'tcp://10.0.0.9:2376' }, { 'ca.pem': 'its ca' });
    expect(given(find())).to.deep.equal({ protocol: 'https', host: '10.0.0.9', port: '2376', ca: 'its ca' });
  });

  it('is that of DOCKER_CONTEXT before the current one, and of DOCKER_HOST before both', () => {
    writeConfig({ currentContext: 'remote' });
    writeContext('remote', { Host: 'tcp://10.0.0.9:2375' });
    writeContext('local', { Host: 'unix:///run/other.sock' });
    expect(find().address).to.equal('tcp://10.0.0.9:2375');
    expect(find({ DOCKER_CONTEXT: 'local' }).address).to.equal('unix:///run/other.sock');
    expect(find({ DOCKER_CONTEXT: 'default' }).address).to.equal('unix:///var/run/docker.sock');
    expect(find({ DOCKER_CONTEXT: 'local', DOCKER_HOST: 'unix:///a.sock' }).address).to.equal('unix:///a.sock');
  });

  it('is found in the folder that DOCKER_CONFIG names', () => {
    const directory = join(home.path, 'elsewhere');
    writeConfig({ currentContext: 'ci' }, directory);
    writeContext('ci', { Host: 'unix:///run/ci.sock' }, {}, directory);
    expect(find({ DOCKER_CONFIG: directory }).address).to.equal('unix:///run/ci.sock');
    expect(find().address).to.equal('unix:///var/run/docker.sock');
  });

  it('is any that answers there when the context says so', () => {
    writeContext('lax', { Host: 'tcp://10.0.0.9:2376', SkipTLSVerify: true });
    const { options } = find({ DOCKER_CONTEXT: 'lax' });
    expect(options.protocol).to.equal('https');
    expect(options.agent?.options.rejectUnauthorized).to.equal(false);
  });

  it('is refused when the context is not there or is broken', () => {
    writeContext('broken', { Host: 5 });
    writeContext('empty', undefined);
    expect(refusal({ DOCKER_CONTEXT: 'gone' })).to.match(/DOCKER_CONTEXT names gone, a docker context that does not/);
    expect(refusal({ DOCKER_CONTEXT: 'broken' })).to.match(/has no docker endpoint/);
    expect(refusal({ DOCKER_CONTEXT: 'empty' })).to.match(/has no docker endpoint/);
    expect(refusal({ DOCKER_CONTEXT: '../../etc' })).to.match(/not the name of a docker context/);
    const id = createHash('sha256').update('empty').digest('hex');
    writeFileSync(join(home.path, '.docker', 'contexts', 'meta', id, 'meta.json'), '{');
    expect(refusal({ DOCKER_CONTEXT: 'empty' })).to.match(/it is not JSON/);
  });

  it('is the default one when config.json cannot be read, as to Docker itself', () => {
    for (const config of ['not json', '[]', '{"currentContext":5}', '{"currentContext":""}']) {
      writeConfig(config);
      expect(find().address, config).to.equal('unix:///var/run/docker.sock');
    }
  });

  it('shows no key when it is looked at', () => {
    writeContext('remote', { Host: 'tcp://10.0.0.9:2376' }, { 'key.pem': 'hunter2', 'cert.pem': 'c' });
    const host = find({ DOCKER_CONTEXT: 'remote' });
    expect(host.options.key).to.equal('hunter2');
    expect(inspect(host, { depth: 9 })).not.to.include('hunter2');
    expect(JSON.stringify(host)).to.equal('{"address":"tcp://10.0.0.9:2376"}');
  });

  it('is the same for dockerode as it is to us', () => {
    for (const text of ['unix:///run/x.sock', 'tcp://10.0.0.5:2375', 'tcp://[::1]:2375', 'ssh://deploy@build:2222']) {
      const { options, address } = find({ DOCKER_HOST: text });
      expect(addressOf(new Dockerode(options as object))).to.equal(address);
    }
  });
});

describe('The address of a dockerode', () => {
  it('is where it leads, without a user', () => {
    const addresses: readonly (readonly [Dockerode.DockerOptions, string])[] = [
      [{ socketPath: '/run/docker.sock' }, 'unix:///run/docker.sock'],
      [{ socketPath: '//./pipe/docker_engine' }, 'npipe:////./pipe/docker_engine'],
      [{ socketPath: String.raw`\\.\pipe\docker_engine` }, 'npipe:////./pipe/docker_engine'],
      [{ host: '10.0.0.5', port: 2375 }, 'tcp://10.0.0.5:2375'],
      [{ host: 'http://10.0.0.5', port: '2375' }, 'tcp://10.0.0.5:2375'],
      [{ host: 'https://build:2376' }, 'tcp://build:2376'],
      [{ protocol: 'https', host: 'build', port: 2376 }, 'tcp://build:2376'],
      [{ protocol: 'ssh', host: 'build', port: 22, username: 'deploy' }, 'ssh://build:22'],
      [{ host: 'http://user:hunter2@build', port: 2375 }, 'tcp://build:2375'],
      [{ host: 'user:hunter2@build', port: 2375 }, 'tcp://build:2375'],
      [{ host: 'http://us er:hunter2@bu ild', port: 2375 }, 'tcp://unknown:2375'],
    ];
    for (const [options, address] of addresses) expect(addressOf(new Dockerode(options))).to.equal(address);
  });

  it('is that of the usual socket where docker-modem looks for it itself', () => {
    const { DOCKER_HOST: before } = process.env;
    delete process.env['DOCKER_HOST'];
    try {
      expect(addressOf(new Dockerode())).to.match(/^unix:\/\/\/.*docker\.sock$/);
    } finally {
      if (before !== undefined) process.env['DOCKER_HOST'] = before;
    }
  });

  it('is its own where it does not tell, and stays so', () => {
    const one = { modem: { dial: () => undefined } };
    const other = { modem: { dial: () => undefined, socketPath: () => Promise.resolve('/x.sock') } };
    expect(addressOf(one)).to.equal(addressOf({ modem: one.modem }));
    expect(addressOf(one)).not.to.equal(addressOf(other));
  });
});
