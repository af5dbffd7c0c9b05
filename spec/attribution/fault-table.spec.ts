import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import Dockerode from 'dockerode';
import type { Address, NameResolver } from '../../lib/distribution/name-lookup.js';
import { dockerEngine } from '../../lib/engine/docker/docker-engine.js';
import { ociLayout } from '../../lib/engine/layout/oci-layout.js';
import { createEventBus } from '../../lib/events/event-bus.js';
import { explainFailure } from '../../lib/health/explain-failure.js';
import { createPullerIn } from '../../lib/puller/create-puller.js';
import type { RegistryOptions } from '../../lib/registries/registry.js';
import type { Fault } from '../../lib/testing/fault.js';
import { connection, layers, metadata, token } from '../../lib/testing/fault-groups.js';
import { startFaultProxy } from '../../lib/testing/fault-proxy.js';
import { pushImage } from '../../lib/testing/push-image.js';
import type { RegistryDouble, RegistryDoubleOptions } from '../../lib/testing/registry-double.js';
import { seededImage, type SeededImageOptions } from '../../lib/testing/seeded-image.js';
import type { RegistryPhase } from '../../lib/vocabulary/phase.js';
import { turns } from '../distribution/rig.js';
import { startProxy } from '../distribution/test-proxy.js';
import { requireDockerd, startDockerd } from '../support/docker-engine.js';
import { failureOf } from '../support/failure-of.js';
import { registryUser, requireDockerRegistry, startDockerRegistry } from '../support/docker-registry.js';
import { requireReal } from '../support/real-parts.js';
import { startFullPort, startRawServer } from '../support/servers.js';
import { canMount, mountSmallDisk } from '../support/small-disk.js';
import { createAuthority } from '../support/tls.js';
import {
  attributionOf,
  type AttributedPull,
  type FaultStage,
  type Judged,
  type StagedFault,
  useFaultStage,
} from './support/fault-stage.js';
import { startHastyRegistry } from './support/hasty-registry.js';

const image = seededImage({ layers: 2, bytes: 120_000, seed: 'attribution' });
const name = 'team/app:1';
const images = { [name]: image };
const megabyte = 1 << 20;

/** A fault, and what has to be said of it. Behind a faulty registry stands a healthy one, unless it says otherwise. */
interface Row {
  readonly fault: string;
  readonly stage: (stage: FaultStage) => Promise<StagedFault>;
  /** How often it is pulled; the last one counts. Default 1. */
  readonly pulls?: number;
  readonly seen: readonly Judged[];
  /** The circuits of the faulty registry that open; none of any other does. */
  readonly opens: readonly RegistryPhase[];
  /** Default `served`. */
  readonly end?: AttributedPull['end'];
  /** What an operator is told, where the pull failed. */
  readonly says?: RegExp;
}

/** A faulty double, and a healthy one behind it. */
const doubles =
  (faults: readonly Fault[], options: RegistryDoubleOptions = {}, own: Omit<RegistryOptions, 'prefix'> = {}) =>
  async (stage: FaultStage): Promise<StagedFault> => {
    const faulty = await stage.registry({ images, faults, ...options });
    return beforeHealthy(stage, { prefix: `${faulty.host}/team`, ...own });
  };

async function beforeHealthy(
  stage: FaultStage,
  faulty: RegistryOptions,
  options: Partial<StagedFault> = {},
): Promise<StagedFault> {
  const healthy = await stage.registry({ images });
  return {
    image: `${faulty.prefix}/app:1`,
    registries: [faulty, { prefix: `localhost:${portOf(healthy)}/team`, plainHttp: true }],
    ...options,
  };
}

const portOf = (double: RegistryDouble | undefined): number => Number(double?.host.replace(/^.*:/, ''));

/** Two registries that are named, and nothing of them works as `resolve` has it. */
const named =
  (resolve: NameResolver, own: Omit<RegistryOptions, 'prefix'> = { plainHttp: true }) =>
  async (): Promise<StagedFault> => ({
    image: 'one.example/team/app:1',
    registries: ['one.example/team', 'two.example/team'].map((prefix) => ({ prefix, ...own })),
    resolve,
  });

/** The first one is named, and its look-ups end so; that of the healthy one is right. */
const firstNamed =
  (resolve: NameResolver) =>
  (stage: FaultStage): Promise<StagedFault> =>
    beforeHealthy(
      stage,
      { prefix: 'one.example/team', plainHttp: true },
      { resolve: async (host) => (host === 'localhost' ? here : resolve(host)) },
    );

const here: readonly Address[] = [{ address: '127.0.0.1', family: 4 }];
const failing = (code: 'ENOTFOUND' | 'EAI_AGAIN') => async (): Promise<readonly Address[]> => {
  throw Object.assign(new Error(`getaddrinfo ${code}`), { code, syscall: 'getaddrinfo' });
};
/** As a resolver to which no packet gets through. */
const silent: NameResolver = () => new Promise(() => undefined);
/** No TCP goes there: the kernel says so without a packet. */
const multicast: NameResolver = async () => [{ address: '224.0.0.1', family: 4 }];

const registryRows: readonly Row[] = [
  {
    fault: 'nobody listens where the registry should be',
    stage: doubles([connection.refuse()]),
    seen: [
      ['registry-api', 'connection-refused', 'ill'],
      ['registry-storage', 'connection-refused', 'ill'],
    ],
    opens: ['metadata', 'layers'],
  },
  {
    fault: 'every connection is reset as soon as it is taken',
    stage: doubles([connection.reset()]),
    seen: [
      ['registry-api', 'connection-reset', 'ill'],
      ['registry-storage', 'connection-reset', 'ill'],
    ],
    opens: ['metadata', 'layers'],
  },
  {
    fault: 'connections are taken and nothing is answered',
    stage: doubles([connection.blackhole()]),
    seen: [
      ['registry-api', 'request-late', 'ill'],
      ['registry-storage', 'first-byte-late', 'ill'],
    ],
    opens: ['metadata', 'layers'],
  },
  {
    fault: 'manifests are not answered',
    stage: doubles([metadata.noHeaders()]),
    seen: [['registry-api', 'request-late', 'ill']],
    opens: ['metadata'],
  },
  {
    fault: 'the API answers 500',
    stage: doubles([metadata.status(500)]),
    seen: [['registry-api', 'http-500', 'ill']],
    opens: ['metadata'],
  },
  {
    fault: 'a manifest is another one than was asked for',
    stage: doubles([metadata.wrongContent()]),
    seen: [['content', 'digest-mismatch', 'ill']],
    opens: ['metadata'],
  },
  {
    fault: 'redirects go round in a circle',
    stage: doubles([metadata.redirectLoop()]),
    seen: [['registry-api', 'redirect-loop', 'ill']],
    opens: ['metadata'],
  },
  {
    fault: 'the token service answers 500',
    stage: doubles([token.status(500)], { auth: { kind: 'bearer' } }),
    seen: [['registry-api', 'http-500', 'ill']],
    opens: ['metadata'],
  },
  {
    fault: 'the manifest is there and the storage stops in the middle of every layer',
    stage: doubles([layers.stall({ afterBytes: 50_000 })], { redirects: true }),
    seen: [['registry-storage', 'stalled', 'ill']],
    opens: ['layers'],
  },
  {
    fault: 'the storage does not answer',
    stage: doubles([layers.noHeaders()], { redirects: true }),
    seen: [['registry-storage', 'first-byte-late', 'ill']],
    opens: ['layers'],
  },
  {
    fault: 'the storage answers 503',
    stage: doubles([layers.status(503)], { redirects: true }),
    seen: [['registry-storage', 'http-503', 'ill']],
    opens: ['layers'],
  },
  {
    fault: 'layers end before their length',
    stage: doubles([layers.truncate({ afterBytes: 50_000 })]),
    seen: [['registry-storage', 'connection-closed', 'ill']],
    opens: ['layers'],
  },
  {
    fault: 'layers drip',
    stage: doubles([layers.drip({ bytesPerSecond: 4_000 })]),
    seen: [['registry-storage', 'too-slow', 'ill']],
    opens: ['layers'],
  },
  {
    fault: 'layers have wrong bytes',
    stage: doubles([layers.wrongBytes({ atByte: 60_000 })]),
    seen: [['content', 'digest-mismatch', 'ill']],
    opens: ['layers'],
  },
  {
    fault: 'the certificate has expired',
    stage: async (stage) => {
      const authority = createAuthority();
      return doubles([], { tls: authority.issue(['127.0.0.1'], { expired: true }) }, { ca: authority.ca })(stage);
    },
    seen: [['tls', 'tls-failed', 'ill']],
    opens: ['metadata', 'layers'],
  },
  {
    fault: 'the certificate is by an authority that nobody knows',
    stage: async (stage) =>
      doubles([], { tls: createAuthority().issue(['127.0.0.1']) }, { ca: createAuthority('another').ca })(stage),
    seen: [['tls', 'tls-failed', 'ill']],
    opens: ['metadata', 'layers'],
  },
  {
    fault: 'its name does not exist, and others do',
    stage: firstNamed(failing('ENOTFOUND')),
    seen: [['dns', 'dns-not-found', 'ill']],
    opens: ['metadata', 'layers'],
  },
  {
    fault: 'its zone fails, and other names resolve',
    stage: firstNamed(failing('EAI_AGAIN')),
    pulls: 2,
    seen: [['dns', 'dns-failed', 'ill']],
    opens: ['metadata', 'layers'],
  },
  {
    fault: 'its zone is not answered for, and other names resolve',
    stage: firstNamed(silent),
    pulls: 2,
    seen: [['dns', 'dns-failed', 'ill']],
    opens: ['metadata', 'layers'],
  },
  {
    fault: 'it takes no connection, and others do',
    stage: async (stage) =>
      beforeHealthy(stage, { prefix: `127.0.0.1:${stage.closing(await startFullPort()).port}/team` }),
    pulls: 2,
    seen: [['registry-api', 'connection-timed-out', 'ill']],
    opens: ['metadata', 'layers'],
  },
  {
    fault: 'there is no route to it, and there are to others',
    stage: firstNamed(multicast),
    pulls: 2,
    seen: [['registry-api', 'host-unreachable', 'ill']],
    opens: ['metadata', 'layers'],
  },
];

/** What is true of one object, one account or one moment: the next registry is asked, and nobody is ill. */
const objectRows: readonly Row[] = [
  {
    fault: 'the image is not there',
    stage: doubles([metadata.missing()]),
    seen: [['not-replicated', 'http-404', 'next']],
    opens: [],
  },
  {
    fault: 'the manifest is there and a layer is not',
    stage: doubles([layers.missing()]),
    seen: [['not-replicated', 'http-404', 'next']],
    opens: [],
  },
  {
    fault: 'the credentials are wrong',
    stage: doubles(
      [],
      { auth: { kind: 'basic', users: { somebody: 'right' } } },
      { credentials: { username: 'somebody', password: 'wrong' } },
    ),
    seen: [['credentials', 'http-401', 'next']],
    opens: [],
  },
  {
    fault: 'the credential helper is not installed',
    stage: async (stage) => {
      const folder = join(stage.directory, 'with-helper');
      await mkdir(folder);
      await writeFile(join(folder, 'config.json'), '{"credsStore":"not-installed-anywhere"}');
      stage.env('DOCKER_CONFIG', folder);
      const staged = await doubles([])(stage);
      const [faulty, healthy] = staged.registries as readonly RegistryOptions[];
      const anonymous = { ...healthy, prefix: healthy?.prefix ?? '', credentials: () => null };
      return { ...staged, registries: [faulty ?? '', anonymous] };
    },
    seen: [['credentials', 'credentials-unavailable', 'next']],
    opens: [],
  },
  {
    fault: 'there were too many requests',
    stage: doubles([metadata.status(429, { retryAfter: 60 })]),
    seen: [['rate-limit', 'http-429', 'limited']],
    opens: [],
  },
  {
    fault: 'it asks for a pause',
    stage: doubles([metadata.status(503, { retryAfter: 60 })]),
    seen: [['registry-api', 'http-503', 'limited']],
    opens: [],
  },
];

/** What is this host's own: no circuit may move, whoever was asked. */
const hostRows: readonly Row[] = [
  {
    fault: 'the resolver answers nothing',
    stage: named(silent),
    seen: [
      ['dns', 'dns-failed', 'next'],
      ['network-egress', 'dns-down', 'next'],
    ],
    opens: [],
    end: 'exhausted',
    says: /check the network and the resolver of this host; no registry is to blame/,
  },
  {
    fault: 'the resolver fails for every name',
    stage: named(failing('EAI_AGAIN')),
    seen: [
      ['dns', 'dns-failed', 'next'],
      ['network-egress', 'dns-down', 'next'],
    ],
    opens: [],
    end: 'exhausted',
    says: /no registry is to blame/,
  },
  {
    fault: 'the resolver fails for every name, again',
    stage: named(failing('EAI_AGAIN')),
    pulls: 2,
    seen: [['network-egress', 'dns-down', 'next']],
    opens: [],
    end: 'exhausted',
    says: /no name can be resolved on this host/,
  },
  {
    fault: 'the resolver fails for every name, after all had been well',
    stage: async (stage) => {
      const doubles = await Promise.all([1, 2].map(() => stage.registry({ images, strict: false })));
      let isDown = false;
      return {
        image: `one.example:${portOf(doubles[0])}/team/app:1`,
        registries: doubles.map((each, n) => ({
          prefix: `${n === 0 ? 'one' : 'two'}.example:${portOf(each)}/team`,
          plainHttp: true,
        })),
        resolve: async (host) => (isDown ? failing('EAI_AGAIN')() : host.endsWith('.example') ? here : []),
        afterPull: async () => {
          isDown = true;
          // What is open would be used on; and that it is not any more has to be noticed.
          for (const each of doubles) each.resetConnections();
          await turns(5);
        },
      };
    },
    pulls: 2,
    seen: [
      ['dns', 'dns-failed', 'next'],
      ['network-egress', 'dns-down', 'next'],
    ],
    opens: [],
    end: 'exhausted',
    says: /^This host reached no registry/,
  },
  {
    fault: 'no connection to anybody comes about',
    stage: async (stage) => {
      const [one, two] = await Promise.all([startFullPort(), startFullPort()]);
      const registries = [one, two].map((full) => `127.0.0.1:${stage.closing(full).port}/team`);
      return { image: `${registries[0]}/app:1`, registries };
    },
    seen: [
      ['registry-api', 'connection-timed-out', 'next'],
      ['network-egress', 'egress-down', 'next'],
    ],
    opens: [],
    end: 'exhausted',
    says: /no registry can be connected to from this host/,
  },
  {
    fault: 'there is no route to anybody',
    stage: named(multicast),
    seen: [
      ['registry-api', 'host-unreachable', 'next'],
      ['network-egress', 'egress-down', 'next'],
    ],
    opens: [],
    end: 'exhausted',
    says: /no registry is to blame/,
  },
  {
    fault: 'there is no address of the one and no connection to the other',
    stage: async (stage) => ({
      image: 'one.example/team/app:1',
      registries: [
        { prefix: 'one.example/team', plainHttp: true },
        `127.0.0.1:${stage.closing(await startFullPort()).port}/team`,
      ],
      resolve: silent,
    }),
    seen: [
      ['dns', 'dns-failed', 'next'],
      ['network-egress', 'egress-down', 'next'],
    ],
    opens: [],
    end: 'exhausted',
    says: /no registry is to blame/,
  },
  {
    fault: 'the network wants a login',
    stage: doubles([metadata.status(511)]),
    seen: [['network-egress', 'http-511', 'next']],
    opens: [],
  },
  {
    fault: 'nobody listens where the proxy should be',
    stage: async (stage) => {
      const closed = await startRawServer(() => undefined);
      await closed.close();
      stage.env('HTTPS_PROXY', `http://127.0.0.1:${closed.port}`);
      return named(silent, {})();
    },
    seen: [['proxy', 'proxy-failed', 'next']],
    opens: [],
    end: 'exhausted',
    says: /check the proxy/,
  },
  {
    fault: 'the proxy takes no connection',
    stage: async (stage) => {
      stage.env('HTTPS_PROXY', `http://127.0.0.1:${stage.closing(await startFullPort()).port}`);
      return named(silent, {})();
    },
    seen: [['proxy', 'proxy-failed', 'next']],
    opens: [],
    end: 'exhausted',
    says: /check the proxy/,
  },
  {
    fault: 'the proxy refuses',
    stage: async (stage) => {
      stage.env('HTTPS_PROXY', stage.closing(await startProxy(() => 1, { refuse: 407 })).url);
      return named(silent, {})();
    },
    seen: [['proxy', 'proxy-failed', 'next']],
    opens: [],
    end: 'exhausted',
    says: /check the proxy/,
  },
  {
    fault: 'this process does nothing while a connection is lost',
    stage: async (stage) => {
      const single: SeededImageOptions = { bytes: 200_000, seed: 'one layer' };
      const [layer] = seededImage(single).layers;
      const faults = [layers.reset({ afterBytes: 100_000, times: 1, object: layer?.digest ?? '' })];
      const hasty = await startHastyRegistry({
        images: { [name]: single },
        faults,
        bandwidth: { totalBytesPerSecond: 100_000 },
      });
      return beforeHealthy(
        stage,
        { prefix: `${stage.closing(hasty).host}/team` },
        {
          options: { transfer: { connectionsPerBlob: 1, maxConnections: 1, hedge: { layersMs: Infinity } } },
          onPuller: ({ events }) => {
            let isBlocked = false;
            events.on('pull:progressed', ({ phase, bytes }) => {
              if (isBlocked || phase !== 'layers' || bytes.fetched < 5_000) return;
              isBlocked = true;
              const untilMs = performance.now() + 3_000;
              while (performance.now() < untilMs);
            });
          },
        },
      );
    },
    seen: [['host-process', 'process-late', 'again']],
    opens: [],
  },
];

describe('The fault that is injected, and what is said of it', function () {
  this.timeout(20_000);
  const stage = useFaultStage();

  function prove({ fault, stage: prepare, pulls = 1, seen, opens, end = 'served', says }: Row): void {
    it(fault, async () => {
      const found = await attributionOf(stage, await prepare(stage), pulls);
      const { explained, ...rest } = found;
      expect(rest, explained).to.deep.equal({ seen, end, opened: opens.map((phase) => [0, phase]) });
      if (says !== undefined) expect(explained).to.match(says);
    });
  }

  describe('a registry’s', () => {
    for (const row of registryRows) prove(row);
  });

  describe('of one object or account', () => {
    for (const row of objectRows) prove(row);
  });

  describe('this host’s, which moves no circuit', () => {
    for (const row of hostRows) prove(row);
  });

  it('is this host’s for fifty pulls that begin at once without a network, and moves no circuit', async () => {
    const registries = ['one.example/team', 'two.example/team'].map((prefix) => ({ prefix, plainHttp: true }));
    const puller = createPullerIn(
      { bus: createEventBus(), resolve: failing('EAI_AGAIN') },
      { engine: ociLayout(join(stage.directory, 'images')), registries, health: { consecutiveFailures: 1 } },
    );
    const names = Array.from({ length: 50 }, (_, n) => `one.example/team/app:${n}`);
    const failures = await Promise.all(names.map((each) => failureOf(puller.pullWithFailover(each))));
    for (const failure of failures) expect(explainFailure(failure)).to.match(/no registry is to blame/);
    expect(puller.health().filter(({ state }) => state !== 'closed')).to.deep.equal([]);
    await puller.close();
  });

  describe('of a real registry', () => {
    requireDockerRegistry();

    prove({
      fault: 'its storage stops in the middle of every layer',
      stage: async () => {
        const real = stage.closing(await startDockerRegistry());
        await pushImage(real.url, name, image);
        const proxy = stage.closing(
          await startFaultProxy(real.url, { faults: [layers.stall({ afterBytes: 50_000 })] }),
        );
        return beforeHealthy(stage, { prefix: `${proxy.host}/team` });
      },
      seen: [['registry-storage', 'stalled', 'ill']],
      opens: ['layers'],
    });

    prove({
      fault: 'it wants other credentials',
      stage: async () => {
        const real = stage.closing(await startDockerRegistry({ auth: 'htpasswd' }));
        const credentials = { username: registryUser.name, password: 'another' };
        return beforeHealthy(stage, { prefix: `${real.host}/team`, credentials });
      },
      seen: [['credentials', 'http-401', 'next']],
      opens: [],
    });

    prove({
      fault: 'it does not have the image',
      stage: async () => {
        const real = stage.closing(await startDockerRegistry());
        return beforeHealthy(stage, { prefix: `${real.host}/team` });
      },
      seen: [['not-replicated', 'http-404', 'next']],
      opens: [],
    });
  });

  describe('of a real disk, which moves no circuit', () => {
    requireReal('mount', 'run the specs with the right to mount a tmpfs', canMount);

    const onDisk = (readOnly: boolean) => async (): Promise<StagedFault> => {
      const larger = seededImage({ bytes: 6 * megabyte, seed: 'larger than the disk' });
      const disk = mountSmallDisk(2 * megabyte);
      stage.closing({ close: () => disk.remove() });
      const engine = stage.closing(ociLayout(join(disk.path, 'images')));
      const registries = await Promise.all([1, 2].map(() => stage.registry({ images: { [name]: larger } })));
      disk.setReadOnly(readOnly);
      return {
        image: `${registries[0]?.host}/${name}`,
        registries: registries.map(({ host }) => `${host}/team`),
        options: { engine },
      };
    };

    prove({
      fault: 'it is full',
      stage: onDisk(false),
      seen: [['host-disk', 'disk-full', 'stop']],
      opens: [],
      end: 'host-fault',
      says: /make room on or repair the disk of this host; no registry is to blame/,
    });

    prove({
      fault: 'it cannot be written to',
      stage: onDisk(true),
      seen: [['host-disk', 'disk-failed', 'stop']],
      opens: [],
      end: 'host-fault',
      says: /no registry is to blame/,
    });
  });

  describe('of a real daemon, which moves no circuit', function () {
    this.timeout(60_000);
    requireDockerd();

    prove({
      fault: 'it is stopped',
      stage: async () => {
        const real = stage.closing(await startDockerd());
        const engine = stage.closing(dockerEngine(new Dockerode({ socketPath: real.socketPath })));
        await real.kill();
        const staged = await doubles([])(stage);
        return { ...staged, options: { engine } };
      },
      seen: [['engine', 'engine-failed', 'stop']],
      opens: [],
      end: 'host-fault',
      says: /no registry is to blame/,
    });
  });
});
