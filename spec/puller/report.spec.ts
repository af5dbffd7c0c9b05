import { expect } from 'chai';
import { layers, metadata } from '../../lib/testing/fault-groups.js';
import { fastTimeouts } from '../../lib/testing/fast-timeouts.js';
import type { RegistryDouble } from '../../lib/testing/registry-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import type { TestImage } from '../../lib/testing/test-image.js';
import { expectWhole, usePullRig } from './pull-rig.js';
import { until } from '../support/until.js';

/** Everything of an image of one platform, its documents included. */
function totalBytes(image: TestImage): number {
  return image.blobBytes + image.top.bytes.length + (image.manifests[0] === image.top ? 0 : manifestBytes(image));
}

function manifestBytes(image: TestImage): number {
  return image.manifests[0]?.bytes.length ?? 0;
}

/** What was asked for, as `kind object`. */
function asked(registry: RegistryDouble): readonly string[] {
  return registry.requests.map(({ kind, object }) => `${kind} ${object}`);
}

describe('the report of a pull', () => {
  const rig = usePullRig();

  it('says of a healthy pull what came, from whom, and nothing else', async () => {
    const image = seededImage({ layers: 3, bytes: 300_000, seed: 'report' });
    const images = { 'team/redis:3.0': image };
    const first = await rig.registry({ images });
    const second = await rig.registry({ images });
    const puller = rig.puller({ registries: [`${first.host}/team`, `${second.host}/team`], platform: 'linux/amd64' });
    const engine = rig.engine();
    const name = `${first.host}/team/redis:3.0`;

    const report = await puller.pullWithFailover(name, { operation: { kind: 'database', id: 'op-871' } });

    await expectWhole(engine, name, image);
    const { pullId, timings, ...rest } = report;
    expect(pullId).to.match(/^[0-9a-f-]{36}$/);
    expect(rest).to.deep.equal({
      image: name,
      operation: { kind: 'database', id: 'op-871' },
      engine: engine.id,
      digest: image.digest,
      manifestDigest: image.digest,
      imageId: image.config.digest,
      reference: name,
      platform: 'linux/amd64',
      source: 'registry',
      resolution: 'first-registry',
      replicaSet: 'default',
      route: 'layout',
      routeReason: 'the engine is an OCI image layout',
      cachedAgeMs: null,
      served: [
        {
          registry: `${first.host}/team`,
          objects: 5,
          bytes: totalBytes(image),
          wastedBytes: 0,
          connections: report.served[0]?.connections,
          hedges: { won: 0, lost: 0 },
        },
      ],
      failovers: [],
      attempts: [],
      bytes: { total: totalBytes(image), fetched: totalBytes(image), kept: 0, local: 0 },
    });
    expect(report.served[0]?.connections, 'four blobs, each over one connection').to.be.within(1, 4);
    expect(first.bytesSent).to.equal(totalBytes(image));
    expect(second.requests, 'a lower one is not asked while the first serves').to.deep.equal([]);
    expect(Object.values(timings).every(Number.isInteger)).to.equal(true);
    expect(timings.metadataMs + timings.layersMs + timings.extractMs).to.be.at.most(timings.totalMs + 3);
    const last = puller.heard.at(-1);
    expect(last?.type === 'pull:succeeded' ? last.report : null).to.deep.equal(report);
  });

  it('counts the manifest below an index as fetched, not as something the engine had', async () => {
    const image = seededImage({ platforms: ['linux/amd64', 'linux/arm64'], bytes: 10_000, seed: 'index' });
    const registry = await rig.registry({ images: { 'team/app:1': image } });
    const puller = rig.puller();
    const name = `${registry.host}/team/app:1`;

    const report = await puller.pullWithFailover(name, { platform: 'linux/arm64' });

    const arm = image.manifests[1];
    await expectWhole(rig.engine(), name, image, arm);
    expect(report.digest).to.equal(image.digest);
    expect(report.manifestDigest).to.equal(arm?.digest);
    expect(report.imageId).to.equal(arm?.config.digest);
    expect(report.platform).to.equal('linux/arm64');
    expect(report.replicaSet).to.equal(null);
    expect(report.bytes).to.deep.equal({
      total: registry.bytesSent,
      fetched: registry.bytesSent,
      kept: 0,
      local: 0,
    });
  });

  it('counts what the engine had as local, and asks for nothing twice', async () => {
    const base = seededImage({ layers: 2, bytes: 100_000, seed: 'shared base' });
    const larger = seededImage({ layers: 3, bytes: 100_000, seed: 'shared base' });
    const registry = await rig.registry({ images: { 'team/base:1': base, 'team/app:1': larger } });
    const puller = rig.puller();
    await puller.pullWithFailover(`${registry.host}/team/base:1`);
    const before = registry.requests.length;

    const report = await puller.pullWithFailover(`${registry.host}/team/app:1`);

    const third = larger.layers[2];
    expect(asked(registry).slice(before)).to.have.members([
      'manifest 1',
      `blob ${larger.config.digest}`,
      `blob ${third?.digest}`,
    ]);
    const shared = base.layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    expect(report.bytes).to.deep.equal({
      total: totalBytes(larger),
      fetched: totalBytes(larger) - shared,
      kept: 0,
      local: shared,
    });
  });

  it('adds up to what every registry sent when the first one dies in the middle', async () => {
    const image = seededImage({ layers: 4, bytes: 400_000, seed: 'dies' });
    const images = { 'team/redis:3.0': image };
    const dying = await rig.registry({ images, faults: [layers.stall({ afterBytes: 100_000 })] });
    const healthy = await rig.registry({ images });
    const puller = rig.puller({ registries: [`${dying.host}/team`, `${healthy.host}/team`], timeouts: fastTimeouts });
    const name = `${dying.host}/team/redis:3.0`;

    const report = await puller.pullWithFailover(name);

    await expectWhole(rig.engine(), name, image);
    expect(report.bytes.fetched).to.equal(dying.bytesSent + healthy.bytesSent);
    expect(report.bytes).to.deep.equal({ total: totalBytes(image), fetched: totalBytes(image), kept: 0, local: 0 });
    expect(report.served.map(({ registry, bytes }) => [registry, bytes])).to.deep.equal([
      [`${dying.host}/team`, dying.bytesSent],
      [`${healthy.host}/team`, healthy.bytesSent],
    ]);
    expect(report.failovers).to.have.length(1);
    const [failover] = report.failovers;
    expect(failover).to.deep.include({ phase: 'layers', from: `${dying.host}/team`, to: `${healthy.host}/team` });
    expect(failover?.reason).to.deep.include({ cause: 'registry-storage', code: 'stalled' });
    expect(failover?.bytesKept).to.be.at.least(100_000);
    expect(report.attempts.length).to.be.at.least(1);
    for (const attempt of report.attempts) {
      expect(attempt).to.deep.include({ registry: `${dying.host}/team`, phase: 'layers', verdict: 'ill' });
    }
    expect(report.timings.layersMs).to.be.at.least(400);
  });

  it('counts bytes that an interrupted pull had left as kept', async () => {
    const image = seededImage({ bytes: 500_000, seed: 'kept' });
    const registry = await rig.registry({
      images: { 'team/app:1': image },
      faults: [layers.stall({ afterBytes: 200_000, object: image.layers[0]?.digest ?? '' })],
      bandwidth: { totalBytesPerSecond: 500_000 },
    });
    const puller = rig.puller();
    const name = `${registry.host}/team/app:1`;
    const caller = new AbortController();
    const interrupted = puller.pullWithFailover(name, { signal: caller.signal });
    await puller.events.waitFor('pull:progressed', {
      filter: (event) => event.layers.some(({ doneBytes }) => doneBytes > 50_000),
    });
    await until(() => registry.requests.some(({ bytesSent }) => bytesSent === 200_000), 'the stall is reached');
    caller.abort('enough');
    const reason: unknown = await interrupted.catch((error: unknown) => error);
    expect(reason).to.equal('enough');
    await registry.setFaults([]);
    const sentBefore = registry.bytesSent;

    const report = await puller.pullWithFailover(name);

    await expectWhole(rig.engine(), name, image);
    expect(report.bytes.kept).to.be.within(50_000, 200_000);
    expect(report.bytes.fetched).to.equal(registry.bytesSent - sentBefore);
    expect(report.bytes.total).to.equal(totalBytes(image));
    expect(report.bytes.fetched + report.bytes.kept + report.bytes.local).to.equal(report.bytes.total);
  });

  it('names a metadata failover, and the registry that then resolved the tag', async () => {
    const image = seededImage({ bytes: 10_000, seed: 'metadata' });
    const images = { 'team/app:1': image };
    const broken = await rig.registry({ images, faults: [metadata.status(500)] });
    const healthy = await rig.registry({ images });
    const puller = rig.puller({ registries: [`${broken.host}/team`, `${healthy.host}/team`] });

    const report = await puller.pullWithFailover(`${broken.host}/team/app:1`);

    expect(report.resolution).to.equal('replica-unverified');
    expect(report.failovers.map(({ phase, from, to }) => [phase, from, to])).to.deep.include([
      'metadata',
      `${broken.host}/team`,
      `${healthy.host}/team`,
    ]);
    expect(report.served.map(({ registry }) => registry)).to.include(`${healthy.host}/team`);
    expect(report.attempts[0]).to.deep.include({ phase: 'metadata', object: '1' });
    expect(report.attempts[0]?.reason.code).to.equal('http-500');
    // Its layers are served by the first one still: only its metadata is ill.
    expect(broken.requests.filter(({ kind }) => kind === 'blob')).to.have.length(2);
  });
});
