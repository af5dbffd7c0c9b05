import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { systemResolver, type NameResolver } from '../../../lib/distribution/name-lookup.js';
import { createEventBus } from '../../../lib/events/event-bus.js';
import {
  dockerEngine,
  isPullExhaustedError,
  ociLayout,
  type PullerOptions,
  type PullReport,
} from '../../../lib/index.js';
import { createPullerIn } from '../../../lib/puller/create-puller.js';
import { createDaemonCertificates } from '../../../lib/registries/daemon-certificates.js';
import { type RegistryDouble, seededImage, startRegistryDouble } from '../../../lib/testing/index.js';
import { startProxy, type TestProxy } from '../../distribution/test-proxy.js';
import { failureOf } from '../../support/failure-of.js';
import { requireDockerd, requireNextRelease, startDockerd } from '../../support/docker-engine.js';
import { addressElsewhere } from '../../support/own-addresses.js';
import type { RealEngine } from '../../support/real-engine.js';
import { requireReal } from '../../support/real-parts.js';
import type { TestServer } from '../../support/servers.js';
import { useTemporaryDirectory } from '../../support/temporary-directory.js';
import { createAuthority, type TestAuthority } from '../../support/tls.js';
import { expectInDaemon, removeFromDaemon } from '../support/image-in-daemon.js';
import { type FrontPlace, startFront } from '../support/registry-front.js';

/** Only elsewhere than on loopback does a daemon want TLS. */
const elsewhere = addressElsewhere();

const image = seededImage({ bytes: [100_000, 50_000], seed: 'trusted as by the daemon' });
const proxyNames = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'].flatMap((name) => [name, name.toLowerCase()]);

const stores = [
  { store: 'graph', title: 'the classic store', require: requireDockerd },
  { store: 'containerd', title: 'a containerd store', require: requireNextRelease },
] as const;

for (const { store, title, require } of stores) {
  describe(`What a daemon with ${title} trusts`, function () {
    this.timeout(60_000);
    require();
    requireReal('openssl', 'apt-get install openssl');
    before(function () {
      if (elsewhere === null) this.skip();
    });
    const working = useTemporaryDirectory();
    const closing: { close(): Promise<void> }[] = [];
    const started = async <T extends { close(): Promise<void> }>(starting: Promise<T>): Promise<T> => {
      const server = await starting;
      closing.unshift(server);
      return server;
    };
    let environment: Readonly<Record<string, string | undefined>>;
    let registry: RegistryDouble;
    beforeEach(async () => {
      environment = Object.fromEntries(proxyNames.map((name) => [name, process.env[name]]));
      for (const name of proxyNames) delete process.env[name];
      // Other clients ask less strictly, and under another address.
      registry = await started(startRegistryDouble({ images: { 'team/app:1': image }, strict: false }));
    });
    afterEach(async () => {
      for (const [name, value] of Object.entries(environment)) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
      for (const each of closing.splice(0)) await each.close();
    });

    const front = (place: FrontPlace): Promise<TestServer> => started(startFront(registry, place));

    /** What the daemon does by itself; then it forgets the image again. */
    async function daemonPulls(real: RealEngine, name: string): Promise<void> {
      const stream = await real.docker.pull(name);
      const lines = await new Promise<readonly { readonly error?: string }[]>((resolve, reject) => {
        real.docker.modem.followProgress(stream, (error, all) => (error === null ? resolve(all) : reject(error)));
      });
      expect(lines.flatMap(({ error }) => error ?? [])).to.deep.equal([]);
      await expectInDaemon(real, name, image);
      await removeFromDaemon(real, name);
    }

    async function pullInto(
      real: RealEngine,
      name: string,
      options: PullerOptions = {},
      resolve: NameResolver = systemResolver,
    ): Promise<PullReport> {
      // Otherwise the engine would be left to pull by itself what this process does not reach.
      await using engine = dockerEngine(real.docker, { route: 'relay' });
      const certificates = createDaemonCertificates({ folders: [working.path] });
      await using puller = createPullerIn({ bus: createEventBus(), certificates, resolve }, { ...options, engine });
      const report = await puller.pullWithFailover(name);
      await expectInDaemon(real, report.reference, image);
      return report;
    }

    it('is an authority that certs.d alone knows, also on loopback', async () => {
      const authority = createAuthority();
      const issued = authority.issue([elsewhere ?? '', '127.0.0.1']);
      const fronts = [await front({ host: elsewhere ?? '', tls: issued }), await front({ tls: issued })];
      const certificates = Object.fromEntries(fronts.map((each) => [`${each.authority}/ca.crt`, authority.ca]));
      for (const [path, text] of Object.entries(certificates)) {
        await mkdir(join(working.path, path, '..'), { recursive: true });
        await writeFile(join(working.path, path), text);
      }
      const real = await started(startDockerd({ store, certificates }));
      for (const { authority: host } of fronts) {
        await daemonPulls(real, `${host}/team/app:1`);
        await pullInto(real, `${host}/team/app:1`);
      }
    });

    it('is a registry that it lists as insecure, with a certificate of nobody or without TLS, and no other', async () => {
      const tls = createAuthority('nobody knows it').issue(['other.example']);
      const [listed, plain, unlisted] = [
        await front({ host: elsewhere ?? '', tls }),
        await front({ host: elsewhere ?? '' }),
        await front({ host: elsewhere ?? '', tls }),
      ];
      const insecure = [listed.authority, plain.authority];
      const real = await started(startDockerd({ store, registryConfig: { 'insecure-registries': insecure } }));
      for (const host of insecure) {
        await daemonPulls(real, `${host}/team/app:1`);
        await pullInto(real, `${host}/team/app:1`);
      }
      const strict = { registries: [{ prefix: listed.authority, plainHttp: false }] };
      for (const [host, options] of [[unlisted.authority, {}] as const, [listed.authority, strict] as const]) {
        expect(await failureOf(pullInto(real, `${host}/team/app:1`, options))).to.satisfy(isPullExhaustedError);
      }
      // It is the daemon's trust, not that of this process.
      await using engine = dockerEngine(real.docker);
      await using layout = ociLayout(join(working.path, 'images'));
      await using puller = createPullerIn({ bus: createEventBus() }, { engine });
      const failure = await failureOf(puller.pullWithFailover(`${listed.authority}/team/app:1`, { engine: layout }));
      expect(failure).to.satisfy(isPullExhaustedError);
    });

    it('is a network of insecure registries', async () => {
      const plain = await front({ host: elsewhere ?? '' });
      const real = await started(
        startDockerd({ store, registryConfig: { 'insecure-registries': [`${elsewhere}/32`] } }),
      );
      await daemonPulls(real, `${plain.authority}/team/app:1`);
      await pullInto(real, `${plain.authority}/team/app:1`);
    });

    it('is a registry whose name leads into such a network, and one on its loopback only by address', async () => {
      const plain = await front({ host: elsewhere ?? '' });
      const tls = createAuthority('nobody knows it').issue(['other.example']);
      const secure = await front({ host: elsewhere ?? '', tls });
      const here = await front({});
      const real = await started(
        startDockerd({
          store,
          registryConfig: { 'insecure-registries': [`${elsewhere}/32`] },
          hosts: { 'registry.internal': elsewhere ?? '', 'loopback.internal': '127.0.0.1' },
        }),
      );
      const resolve: NameResolver = async (name) => [
        { address: name === 'registry.internal' ? (elsewhere ?? '') : '127.0.0.1', family: 4 },
      ];
      for (const { port } of [plain, secure]) {
        const name = `registry.internal:${port}/team/app:1`;
        await daemonPulls(real, name);
        await pullInto(real, name, {}, resolve);
      }
      const byLoopback = `loopback.internal:${here.port}/team/app:1`;
      await daemonPulls(real, byLoopback);
      expect(await failureOf(pullInto(real, byLoopback, {}, resolve))).to.satisfy(isPullExhaustedError);
    });

    describe('is its proxy,', () => {
      const host = 'registry.example:5443';
      let authority: TestAuthority;
      let proxy: TestProxy;
      let real: RealEngine;
      const pull = (): Promise<PullReport> =>
        pullInto(real, `${host}/team/app:1`, { registries: [{ prefix: host, ca: authority.ca }] });

      before(() => {
        authority = createAuthority();
      });

      async function startBehindProxy(login: string, noProxy: string): Promise<void> {
        const secure = await front({ tls: authority.issue(['registry.example']) });
        proxy = await started(startProxy(() => secure.port));
        const url = `http://${login}${proxy.authority}`;
        real = await started(
          startDockerd({
            store,
            certificates: { [`${host}/ca.crt`]: authority.ca },
            environment: { HTTP_PROXY: url, HTTPS_PROXY: url, NO_PROXY: noProxy },
          }),
        );
      }

      it('where this process names none of its own', async () => {
        await startBehindProxy('', '');
        await daemonPulls(real, `${host}/team/app:1`);
        const before = proxy.targets.length;
        await pull();
        expect(proxy.targets.slice(before)).to.include(host);

        const used = proxy.targets.length;
        process.env['NO_PROXY'] = 'elsewhere.example';
        expect(await failureOf(pull())).to.satisfy(isPullExhaustedError);
        expect(proxy.targets).to.have.length(used);
      });

      it('but not one whose login it does not tell', async () => {
        await startBehindProxy('me:hunter22@', '');
        await daemonPulls(real, `${host}/team/app:1`);
        const used = proxy.targets.length;
        expect(await failureOf(pull())).to.satisfy(isPullExhaustedError);
        expect(proxy.targets).to.have.length(used);
      });

      it('nor for what it exempts', async () => {
        await startBehindProxy('', '.example');
        expect(await failureOf(pull())).to.satisfy(isPullExhaustedError);
        expect(proxy.targets).to.have.length(0);
      });
    });
  });
}
