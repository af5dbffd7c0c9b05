import { execFileSync } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { parseReference } from '../../lib/image/reference.js';
import { maxCertificateFileBytes, maxCertificateFiles } from '../../lib/registries/certificate-folder.js';
import { createDaemonCertificates, usualFolders } from '../../lib/registries/daemon-certificates.js';
import type { Registry, RegistryOptions } from '../../lib/registries/registry.js';
import { parseReplicaSets } from '../../lib/registries/replica-set.js';
import { useTemporaryDirectory } from '../support/temporary-directory.js';
import { authority, clientCertificate, clientKey } from './certificates.js';

const host = 'registry.internal:5000';

describe("the daemon's certificates", () => {
  const directory = useTemporaryDirectory();
  let warnings: string[] = [];
  const onWarning = (warning: Error & { readonly code?: string }): void => {
    if (warning.code === 'PULL_FAILOVER_CERTIFICATES') warnings.push(warning.message);
  };
  beforeEach(() => {
    warnings = [];
    process.on('warning', onWarning);
  });
  afterEach(() => process.off('warning', onWarning));

  async function write(files: Readonly<Record<string, string>>, of = host): Promise<void> {
    for (const [name, text] of Object.entries(files)) {
      const file = join(directory.path, of, name);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, text);
    }
  }
  const open = (...folders: string[]): ReturnType<typeof createDaemonCertificates> =>
    createDaemonCertificates({ folders: folders.length === 0 ? [directory.path] : folders });
  /** Warnings are told in a turn of their own. */
  const warned = async (): Promise<readonly string[]> => {
    await new Promise((resolve) => setImmediate(resolve));
    return warnings;
  };

  it('are none where there is no folder, or nothing in it', async () => {
    const certificates = open(join(directory.path, 'missing'), directory.path);
    expect(certificates.of(host)).to.equal(null);
    await write({ 'README.txt': 'ask the operator' });
    expect(certificates.of(host)).to.equal(null);
    expect(await warned()).to.deep.equal([]);
  });

  it('are every authority, and the certificate with its key', async () => {
    await write({ 'b.crt': authority, 'a.crt': clientCertificate, 'client.cert': clientCertificate });
    await write({ 'client.key': clientKey });
    const tls = open().of(host);
    expect(tls?.ca).to.equal(clientCertificate + authority);
    expect(tls?.cert).to.equal(clientCertificate);
    expect(tls?.key).to.equal(clientKey);
    expect(open().of('registry.internal')).to.equal(null);
    expect(await warned()).to.deep.equal([]);
  });

  it('are read again when they have changed, and are the same object until then', async () => {
    const certificates = open();
    expect(certificates.of(host)).to.equal(null);
    await write({ 'ca.crt': authority });
    const first = certificates.of(host);
    expect(first?.ca).to.equal(authority);
    expect(certificates.of(host)).to.equal(first);
    await write({ 'ca.crt': clientCertificate + authority });
    expect(certificates.of(host)?.ca).to.equal(clientCertificate + authority);
    await rm(join(directory.path, host), { recursive: true });
    expect(certificates.of(host)).to.equal(null);
  });

  const broken: readonly (readonly [string, Readonly<Record<string, string>>, RegExp])[] = [
    ['an authority that is none', { 'bad.crt': 'hunter22' }, /bad\.crt holds no certificate in PEM/],
    [
      'a file without end',
      { 'bad.crt': ' '.repeat(maxCertificateFileBytes + 1) },
      /bad\.crt is larger than 1048576 bytes/,
    ],
    ['a certificate without its key', { 'bad.cert': clientCertificate }, /bad\.cert lacks its key bad\.key \(an/],
    ['a key without its certificate', { 'bad.key': clientKey }, /bad\.key lacks its certificate bad\.cert/],
    [
      'a key of another certificate',
      { 'bad.cert': authority, 'bad.key': clientKey },
      /bad\.key does not belong to the first certificate/,
    ],
    ['a key that is none', { 'bad.cert': clientCertificate, 'bad.key': 'hunter22' }, /bad\.key holds no private key/],
  ];
  for (const [title, files, message] of broken) {
    it(`are warned of once and left out where there is ${title}; the others hold`, async () => {
      await write({ ...files, 'good.crt': authority });
      const certificates = open();
      const tls = certificates.of(host);
      expect(tls?.ca).to.equal(authority);
      expect(tls).to.not.have.any.keys('cert', 'key');
      expect(certificates.of(host)).to.equal(tls);
      const told = await warned();
      expect(told).to.have.length(1);
      expect(told[0]).to.match(message).and.not.include('hunter22');
      expect(told[0]).to.include(join(directory.path, host));
    });
  }

  it('are not waited for where a file is a pipe or a folder, nor where everything is one file', async () => {
    await write({ 'good.crt': authority });
    await mkdir(join(directory.path, host, 'folder.crt'));
    execFileSync('mkfifo', [join(directory.path, host, 'pipe.crt')]);
    expect(open().of(host)?.ca).to.equal(authority);
    const [first, second, third] = await warned();
    expect(first).to.match(/folder\.crt cannot be read \(not a file\)/);
    expect(second).to.match(/pipe\.crt cannot be read \(not a file\)/);
    expect(third).to.equal(undefined);
    await write({ 'file:1': '' }, '.');
    expect(open().of('file:1')).to.equal(null);
  });

  it('are the first of too many, and of several client certificates the first', async () => {
    const many = Object.fromEntries(
      Array.from({ length: maxCertificateFiles + 1 }, (_, index) => [
        `${String(index).padStart(3, '0')}.crt`,
        authority,
      ]),
    );
    await write(many);
    await write(
      { 'a.cert': clientCertificate, 'a.key': clientKey, 'b.cert': clientCertificate, 'b.key': clientKey },
      'two',
    );
    expect(open().of(host)?.ca?.split('BEGIN')).to.have.length(maxCertificateFiles + 1);
    expect(open().of('two')?.cert).to.equal(clientCertificate);
    const told = await warned();
    expect(told).to.have.length(2);
    expect(told[0]).to.match(/holds more than 64/);
    expect(told[1]).to.match(/several client certificates/);
  });

  it("are looked for where the system's daemon does, and one that another user runs before it", () => {
    expect(usualFolders({ XDG_CONFIG_HOME: '/x' }, true)).to.deep.equal(['/etc/docker/certs.d']);
    expect(usualFolders({ XDG_CONFIG_HOME: '/x' }, false)).to.deep.equal(['/x/docker/certs.d', '/etc/docker/certs.d']);
    expect(usualFolders({}, false)[0]).to.equal(join(homedir(), '.config/docker/certs.d'));
  });

  it('are those of the first place that has the registry', async () => {
    await write({ 'ca.crt': authority }, `first/${host}`);
    await write({ 'ca.crt': clientCertificate }, `second/${host}`);
    const certificates = open(join(directory.path, 'first'), join(directory.path, 'second'));
    expect(certificates.of(host)?.ca).to.equal(authority);
    await rm(join(directory.path, 'first', host), { recursive: true });
    expect(certificates.of(host)?.ca).to.equal(clientCertificate);
  });

  describe('of a registry', () => {
    const own = `-----BEGIN CERTIFICATE-----${authority.split('-----BEGIN CERTIFICATE-----')[1] ?? ''}`;
    function registryOf(options: RegistryOptions): Registry {
      const sets = parseReplicaSets({
        registries: [options],
        dockerConfig: { credentials: () => ({ get: async () => null }) },
        certificates: open(),
      });
      const reference = parseReference(`${options.prefix}/team/app:1`);
      const [first] = sets.place(reference).places;
      const [again] = sets.place(reference).places;
      expect(again?.registry).to.equal(first?.registry);
      if (first === undefined) throw new Error('it is in the set');
      return first.registry;
    }

    it('hold where its options say nothing of certificates, and else not', async () => {
      await write({ 'ca.crt': clientCertificate + authority });
      expect(registryOf({ prefix: host }).tls.ca).to.equal(clientCertificate + authority);
      expect(registryOf({ prefix: host, plainHttp: false }).tls.ca).to.equal(clientCertificate + authority);
      expect(registryOf({ prefix: host, ca: own }).tls.ca).to.equal(authority);
      const given = registryOf({ prefix: host, cert: clientCertificate, key: clientKey });
      expect(given.tls).to.not.have.property('ca');
      const plain = registryOf({ prefix: host, plainHttp: true });
      expect([plain.baseUrl, plain.tls]).to.deep.equal([`http://${host}`, {}]);
    });

    it('make it speak TLS on loopback, and none are there for another port', async () => {
      await write({ 'ca.crt': authority }, '127.0.0.1:5000');
      expect(registryOf({ prefix: '127.0.0.1:5000' })).to.include({
        baseUrl: 'https://127.0.0.1:5000',
        isPrivate: true,
      });
      expect(registryOf({ prefix: '127.0.0.1:5001' }).baseUrl).to.equal('http://127.0.0.1:5001');
    });

    it('are those of docker.io for Docker Hub, whose API keeps its place', async () => {
      await write({ 'ca.crt': authority }, 'docker.io');
      const hub = registryOf({ prefix: 'docker.io' });
      expect([hub.baseUrl, hub.tls.ca]).to.deep.equal(['https://registry-1.docker.io', authority]);
    });

    it("hold for an image's own registry in no set", async () => {
      await write({ 'ca.crt': authority });
      const { places } = parseReplicaSets({ certificates: open() }).place(parseReference(`${host}/team/app:1`));
      expect(places.map(({ registry }) => registry.tls.ca)).to.deep.equal([authority]);
    });
  });
});
