import { expect } from 'chai';
import type { DaemonPull } from '../../../lib/engine/docker/docker-daemon.js';
import { EngineFailure } from '../../../lib/engine/docker/engine-failure.js';
import { openDockerDaemon } from '../../../lib/engine/docker/open-docker-daemon.js';
import {
  connection,
  type Fault,
  layers,
  metadata,
  type RegistryDoubleOptions,
  seededImage,
  startRegistryDouble,
} from '../../../lib/testing/index.js';
import { requireDockerd, requireNextRelease, type RealEngine, startDockerd } from '../../support/docker-engine.js';
import { failureOf } from '../../support/failure-of.js';
import { requirePodman, startPodman } from '../../support/podman-engine.js';
import { until } from '../../support/until.js';

/** One try is enough to learn what it says; five take Docker a minute. */
const registryConfig = { 'max-download-attempts': 1 };

const engines: readonly {
  readonly name: string;
  readonly require: () => void;
  readonly start: (options?: { readonly dataRootBytes?: number }) => Promise<RealEngine>;
}[] = [
  {
    name: 'Docker of this release',
    require: requireDockerd,
    start: (options) => startDockerd({ registryConfig, ...options }),
  },
  {
    name: 'Docker of the next release with its containerd store',
    require: requireNextRelease,
    start: (options) => startDockerd({ store: 'containerd', registryConfig, ...options }),
  },
  { name: 'Podman', require: requirePodman, start: startPodman },
];

const anybody = new AbortController().signal;

async function pull(engine: RealEngine, name: string, object = '1', platform = 'linux/amd64'): Promise<void> {
  const daemon = openDockerDaemon(engine.docker, `unix://${engine.socketPath}`);
  const request: DaemonPull = { name, object, platform, credentials: null, plainHttp: true };
  for await (const line of daemon.pull(request, anybody)) void line;
}

for (const { name, require, start } of engines) {
  describe(`What ${name} says when a pull fails`, function () {
    this.timeout(60_000);
    require();
    let engine: RealEngine;
    let seed = 0;

    before(async () => {
      engine = await start();
    });

    after(async () => {
      await engine?.close();
    });

    /** Pulls an image that the engine has no part of, from a registry that fails like this. */
    async function failureWith(
      faults: readonly Fault[],
      options: RegistryDoubleOptions & { readonly platform?: string; readonly tag?: string } = {},
    ): Promise<EngineFailure> {
      const { platform = 'linux/amd64', tag = '1', ...rest } = options;
      seed += 1;
      const image = seededImage({ seed: `${name} ${seed}`, bytes: 100_000, platforms: ['linux/amd64'] });
      await using registry = await startRegistryDouble({ strict: false, images: { 'acme/redis:1': image }, ...rest });
      await registry.setFaults(faults);
      const failure = await failureOf(pull(engine, `${registry.host}/acme/redis`, tag, platform));
      if (!(failure instanceof EngineFailure)) throw failure;
      return failure;
    }

    const expected: readonly (readonly [what: string, fault: string, evidence: object, faults: readonly Fault[]])[] = [
      ['a registry that is not there', 'network', { kind: 'connection', code: 'refused' }, [connection.refuse()]],
      ['a registry that is ill', 'server', { kind: 'status', status: 503 }, [metadata.status(503)]],
      ['a storage that is ill', 'server', { kind: 'status', status: 500 }, [layers.status(500)]],
      ['a registry that denies', 'denied', { kind: 'status', status: 403 }, [metadata.status(403)]],
      ['a manifest that is not there', 'missing', { kind: 'status', status: 404 }, [metadata.missing()]],
      ['a blob that is not there', 'missing', { kind: 'status', status: 404 }, [layers.missing()]],
      [
        'wrong bytes',
        'integrity',
        { kind: 'content', code: 'digest-mismatch' },
        [{ on: 'layers', kind: 'wrong-bytes', atShare: 0.5 }],
      ],
      ['a body that ends too early', 'network', { kind: 'connection' }, [layers.truncate({ afterShare: 0.5 })]],
    ];
    for (const [what, fault, evidence, faults] of expected) {
      it(`is known for ${what}`, async () => {
        const failure = await failureWith(faults);
        expect(failure, failure.text).to.include({ fault, isLost: false });
        expect(failure.evidence, failure.text).to.include(evidence);
      });
    }

    // Podman waits for half a minute before it says so.
    if (name !== 'Podman') {
      it('is known for a registry that wants to be left alone', async () => {
        const failure = await failureWith([metadata.status(429)]);
        expect(failure, failure.text).to.have.property('fault', 'rate-limit');
        expect(failure.evidence, failure.text).to.include({ kind: 'status', status: 429 });
      });
    }

    it('is known for a platform that an image is not made for', async () => {
      const failure = await failureWith([], { platform: 'linux/s390x' });
      expect(failure, failure.text).to.have.property('fault', 'platform');
    });

    it('is known for a tag that is none', async () => {
      const failure = await failureWith([], { tag: 'a b' });
      expect(failure, failure.text).to.have.property('fault', 'caller');
    });

    it('is known for a disk that is full, which is no fault of the registry', async () => {
      await using small = await start({ dataRootBytes: 12 << 20 });
      const image = seededImage({ seed: name, bytes: 24 << 20 });
      await using registry = await startRegistryDouble({ strict: false, images: { 'acme/redis:1': image } });
      const failure = await failureOf(pull(small, `${registry.host}/acme/redis`));
      expect(failure).to.include({ fault: 'disk', diskErrno: 'ENOSPC', isLost: false, evidence: null });
    });

    it('is the silence of one that is killed while it pulls', async () => {
      const image = seededImage({ seed: `${name} killed`, bytes: 1 << 20 });
      await using registry = await startRegistryDouble({ strict: false, images: { 'acme/redis:1': image } });
      await registry.setFaults([layers.stall({ afterShare: 0.5 })]);
      const failing = failureOf(pull(engine, `${registry.host}/acme/redis`));
      await until(() => registry.requests.some(({ kind }) => kind === 'blob'));
      await engine.kill();
      expect(await failing).to.include({ fault: 'daemon', isLost: true, evidence: null });
      expect(await failureOf(pull(engine, 'registry.invalid/acme/redis'))).to.include({
        fault: 'unreachable',
        isLost: false,
      });
      await engine.restart();
    });
  });
}
