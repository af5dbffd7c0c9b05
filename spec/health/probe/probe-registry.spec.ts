import { expect } from 'chai';
import type { RegistryClient } from '../../../lib/distribution/client.js';
import { ExchangeError } from '../../../lib/distribution/wire-error.js';
import { createByteAllowance } from '../../../lib/health/probe/byte-allowance.js';
import { probeRegistry, type ProbeRequest, type ProbeResult } from '../../../lib/health/probe/probe-registry.js';
import { createProbeTargets, type ProbeTargets } from '../../../lib/health/probe/probe-targets.js';
import { probeBytes } from '../../../lib/health/probe/probe-targets-document.js';
import { resolveLimits, type Timeouts } from '../../../lib/policy/limits.js';
import { fastTimeouts } from '../../../lib/testing/fast-timeouts.js';
import type { Fault } from '../../../lib/testing/fault.js';
import { connection, layers, metadata, token } from '../../../lib/testing/fault-groups.js';
import { startRegistryDouble, type RegistryDouble } from '../../../lib/testing/registry-double.js';
import { seededImage } from '../../../lib/testing/seeded-image.js';
import type { TestBlob } from '../../../lib/testing/test-image.js';
import type { RegistryPhase } from '../../../lib/vocabulary/phase.js';
import { openRig, useServers } from '../../distribution/rig.js';
import { failureOf } from '../../support/failure-of.js';
import { lostMs } from '../../../lib/policy/loop-timer.js';

const repository = 'aptible/redis';
const large = 1_000_000;
const image = seededImage({ bytes: [large, 300_000, 20_000] });

describe('a probe', () => {
  const started = useServers();
  let registry: RegistryDouble;
  let targets: ProbeTargets;

  async function start(faults: readonly Fault[] = [], more: object = { redirects: true }): Promise<void> {
    registry = await started(startRegistryDouble({ images: { [`${repository}:3.0`]: image }, faults, ...more }));
    targets = createProbeTargets();
  }

  const blob = (at: number): TestBlob => {
    const found = image.manifests[0]?.layers[at];
    if (found === undefined) throw new Error(`no layer ${at}`);
    return found;
  };
  const served = (at: number): void => {
    const { digest, sizeBytes } = blob(at);
    targets.served(registry.host, 'layers', { repository, object: digest, size: sizeBytes });
  };
  const failedAt = (at: number, offset: number): void => {
    const { digest, sizeBytes } = blob(at);
    targets.failedAt(registry.host, { repository, digest, size: sizeBytes, offset });
  };

  function probe(phase: RegistryPhase, more: Partial<ProbeRequest> = {}, timeouts: Timeouts = fastTimeouts) {
    const { client, context } = openRig(registry.host);
    return probeRegistry({
      client,
      registry: registry.host,
      phase,
      targets,
      limits: resolveLimits([{ path: 'timeouts', timeouts }]),
      allowance: createByteAllowance(4 * 1024 * 1024),
      random: () => 0.5,
      signal: context.signal,
      ...more,
    });
  }

  const codeOf = (result: ProbeResult): string => (result.kind === 'ill' ? result.reason.code : result.kind);

  describe('of layers', () => {
    it('reads 64 KiB at the place where the registry failed, through the redirect to its storage', async () => {
      await start();
      failedAt(0, 600_000);
      expect(await probe('layers')).to.deep.equal({ kind: 'good' });
      expect(registry.requests.map(({ kind }) => kind)).to.deep.equal(['blob', 'storage']);
      expect(registry.requests[1]).to.deep.include({
        object: blob(0).digest,
        range: { start: 600_000, end: 600_000 + probeBytes - 1 },
        outcome: 'complete',
      });
      expect(registry.bytesSent).to.equal(probeBytes);
      expect(registry.violations).to.deep.equal([]);
    });

    for (const offset of [0, 1, 500_000, large - probeBytes, large - 2, large - 1]) {
      it(`reads what the layer has, when it failed at byte ${offset} of ${large}`, async () => {
        await start();
        failedAt(0, offset);
        expect(await probe('layers')).to.deep.equal({ kind: 'good' });
        const from = Math.min(offset, large - probeBytes);
        expect(registry.requests[1]?.range?.start).to.equal(from);
        expect(registry.bytesSent).to.equal(probeBytes);
      });
    }

    it('finds a storage ill that stalls in the middle, where a HEAD and the first bytes are fine', async () => {
      await start([layers.stall({ afterBytes: 600_000 })]);
      failedAt(0, 600_000);
      const result = await probe('layers');
      expect(result).to.deep.include({ kind: 'ill', phase: 'layers' });
      expect(codeOf(result)).to.be.oneOf(['stalled', 'first-byte-late']);
    });

    it('finds it well again once it sends there', async () => {
      await start([layers.stall({ afterBytes: 600_000 })]);
      failedAt(0, 600_000);
      expect((await probe('layers')).kind).to.equal('ill');
      await registry.setFaults([]);
      expect((await probe('layers')).kind).to.equal('good');
    });

    for (const [what, fault, code] of [
      ['sends no headers', layers.noHeaders(), 'first-byte-late'],
      ['stops within the 64 KiB', layers.stall({ afterBytes: 630_000 }), 'stalled'],
      ['drips', layers.drip({ bytesPerSecond: 10_000 }), 'too-slow'],
      ['resets', layers.reset({ afterBytes: 610_000 }), 'connection-reset or connection-closed'],
      ['ends early', layers.truncate({ afterBytes: 610_000 }), 'connection-closed'],
      ['answers 500', layers.status(500), 'http-500'],
      ['answers 500 at its API', layers.status(500, { at: 'registry' }), 'http-500'],
      ['answers 403 at its storage', layers.status(403), 'http-403'],
      ['sends another range', layers.wrongRange(), 'range-mismatch'],
      ['refuses connections', connection.refuse(), 'connection-refused'],
    ] as const) {
      it(`finds a registry ill that ${what}`, async () => {
        await start([fault]);
        failedAt(0, 600_000);
        expect(code).to.include(codeOf(await probe('layers')));
      });
    }

    it('finds wrong bytes of a layer that it reads whole', async () => {
      await start([layers.wrongBytes({ atByte: 10_000 })]);
      served(2);
      expect(codeOf(await probe('layers'))).to.equal('digest-mismatch');
    });

    it('reads somewhere in the middle where the registry never failed', async () => {
      await start();
      served(0);
      for (const random of [0, 0.25, 0.999_999]) await probe('layers', { random: () => random });
      const from = registry.requests.flatMap(({ kind, range }) => (kind === 'storage' ? [range?.start] : []));
      expect(from[0]).to.equal(0);
      expect(from[1]).to.equal(Math.floor((large - probeBytes + 1) / 4));
      expect(from[2]).to.equal(large - probeBytes);
    });

    it('forgets a layer that is gone, and asks for the next one', async () => {
      await start();
      failedAt(0, 0);
      served(1);
      registry.removeDigest(blob(0).digest);
      expect((await probe('layers')).kind).to.equal('good');
      expect(targets.layersOf(registry.host).map(({ digest }) => digest)).to.deep.equal([blob(1).digest]);
    });

    it('finds nothing out when nothing is left to be asked for', async () => {
      await start();
      served(0);
      registry.removeDigest(blob(0).digest);
      expect(await probe('layers')).to.deep.equal({ kind: 'no-target' });
      expect(targets.layersOf(registry.host)).to.deep.equal([]);
    });

    it('tells that the registry wants to be left alone', async () => {
      await start([layers.status(429, { retryAfter: 7, at: 'registry' })]);
      served(0);
      expect(await probe('layers')).to.deep.equal({ kind: 'limited', phase: 'layers', retryAfterMs: 7_000 });
    });

    it('tells that it was the token, which is metadata, where that could not be had', async () => {
      await start([token.status(500)], { auth: { kind: 'bearer' } });
      served(0);
      expect(await probe('layers')).to.deep.include({ kind: 'ill', phase: 'metadata' });
    });

    it('passes over what comes first from a registry that knows no ranges, within what may be read', async () => {
      await start([layers.ignoreRange()]);
      failedAt(0, 100_000);
      const allowance = createByteAllowance(300_000);
      expect((await probe('layers', { allowance })).kind).to.equal('good');
      expect(allowance.leftBytes).to.be.below(300_000 - 100_000);
    });

    it('gives a layer up that would take more than may be read', async () => {
      await start([layers.ignoreRange()]);
      failedAt(0, 800_000);
      expect((await probe('layers', { allowance: createByteAllowance(300_000) })).kind).to.equal('no-target');
      expect(registry.requests.filter(({ kind }) => kind === 'storage')).to.have.length(1);
    });

    it('counts what was read of an answer that failed', async () => {
      await start([layers.reset({ afterBytes: 630_000 })]);
      failedAt(0, 600_000);
      const allowance = createByteAllowance(300_000);
      await probe('layers', { allowance });
      expect(allowance.leftBytes).to.be.within(300_000 - 30_000, 300_000);
    });
  });

  describe('of metadata', () => {
    it('asks for the head of a tag that was served, and nothing else', async () => {
      await start();
      targets.served(registry.host, 'metadata', { repository, object: '3.0' });
      expect(await probe('metadata')).to.deep.equal({ kind: 'good' });
      expect(registry.requests.map(({ method, object }) => [method, object])).to.deep.equal([['HEAD', '3.0']]);
      expect(registry.bytesSent).to.equal(0);
    });

    for (const [what, fault, code] of [
      ['does not answer', metadata.noHeaders(), 'request-late'],
      ['answers 502', metadata.status(502), 'http-502'],
    ] as const) {
      it(`finds a registry ill that ${what}`, async () => {
        await start([fault]);
        targets.served(registry.host, 'metadata', { repository, object: '3.0' });
        expect(codeOf(await probe('metadata'))).to.equal(code);
      });
    }

    it('forgets a tag that is gone, and asks for the next one', async () => {
      await start();
      targets.served(registry.host, 'metadata', { repository, object: '3.0' });
      targets.served(registry.host, 'metadata', { repository, object: 'gone' });
      expect((await probe('metadata')).kind).to.equal('good');
      expect(targets.manifestsOf(registry.host).map(({ reference }) => reference)).to.deep.equal(['3.0']);
    });

    it('learns nothing of the registry from credentials that are not accepted any more', async () => {
      await start([], { auth: { kind: 'basic', username: 'somebody', password: 'else' } });
      targets.served(registry.host, 'metadata', { repository, object: '3.0' });
      expect((await probe('metadata')).kind).to.equal('no-target');
    });
  });

  for (const [closes, kind] of [
    [2, 'good'],
    [3, 'unknown'],
  ] as const) {
    it(`that meets ${closes} kept-alive connections as they close says: ${kind}`, async () => {
      await start();
      served(0);
      const { client } = openRig(registry.host);
      let tries = 0;
      const closing: Pick<RegistryClient, 'openBlob' | 'headManifest'> = {
        headManifest: client.headManifest,
        openBlob: async (request) => {
          tries += 1;
          if (tries > closes) return client.openBlob(request);
          const evidence = { kind: 'connection', code: 'closed', reused: true, bytes: 0, lateMs: 0 } as const;
          throw new ExchangeError('closed', { evidence, phase: 'layers' });
        },
      };
      expect((await probe('layers', { client: closing })).kind).to.equal(kind);
    });
  }

  it('learns nothing of the registry from a fault of this host', async () => {
    await start();
    targets.served(registry.host, 'metadata', { repository, object: '3.0' });
    const client: Pick<RegistryClient, 'openBlob' | 'headManifest'> = {
      openBlob: () => Promise.reject(new Error('not asked')),
      headManifest: () => Promise.reject(Object.assign(new Error('too many open files'), { code: 'EMFILE' })),
    };
    expect(await probe('metadata', { client })).to.deep.equal({ kind: 'unknown' });
    expect(targets.manifestsOf(registry.host)).to.have.length(1);
  });

  for (const phase of ['metadata', 'layers'] as const) {
    it(`of ${phase} ends at once when it is told to, and leaves nothing open`, async () => {
      await start([layers.stall({ afterBytes: 0 }), metadata.noHeaders()]);
      served(0);
      targets.served(registry.host, 'metadata', { repository, object: '3.0' });
      const before = lostMs();
      const ending = new AbortController();
      const reason = new Error('closed');
      const probing = probe(phase, { signal: ending.signal }, {});
      setTimeout(() => ending.abort(reason), 50);
      const startedAtMs = performance.now();
      expect(await failureOf(probing)).to.equal(reason);
      expect(performance.now() - startedAtMs - (lostMs() - before)).to.be.below(2_000);
    });
  }

  it('ends where pulls would wait for ever', async () => {
    await start();
    served(0);
    const asked: unknown[] = [];
    const client: Pick<RegistryClient, 'openBlob' | 'headManifest'> = {
      openBlob: (request) => {
        asked.push(request.firstByteMs, request.requestMs);
        return Promise.reject(new Error('enough'));
      },
      headManifest: () => Promise.reject(new Error('not asked')),
    };
    const never = {
      metadata: { requestMs: Infinity, totalMs: Infinity },
      layers: { firstByteMs: Infinity, stallMs: Infinity },
    };
    await probe('layers', { client }, never);
    expect(asked.slice(0, 2)).to.deep.equal([60_000, 60_000]);
  });
});
