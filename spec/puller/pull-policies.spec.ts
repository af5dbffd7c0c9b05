import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { isImageNotCachedError } from '../../lib/errors/image-not-cached-error.js';
import { isImageRefusedError } from '../../lib/errors/image-refused-error.js';
import { isPullExhaustedError } from '../../lib/errors/pull-exhausted-error.js';
import { connection } from '../../lib/testing/fault-groups.js';
import type { RegistryDouble } from '../../lib/testing/registry-double.js';
import { divergedFrom, seededImage } from '../../lib/testing/seeded-image.js';
import type { Digest } from '../../lib/vocabulary/digest.js';
import { expectWhole, usePullRig } from './pull-rig.js';
import { failureOf } from '../support/failure-of.js';

const image = seededImage({ platforms: ['linux/amd64', 'linux/arm64'], bytes: 20_000, seed: 'policies' });
const newer = divergedFrom(image);
const amd64 = { platform: 'linux/amd64' };

describe('pull policies', () => {
  const rig = usePullRig();
  let registry: RegistryDouble;
  let name: string;

  beforeEach(async () => {
    registry = await rig.registry({ images: { 'team/app:1': image } });
    name = `${registry.host}/team/app:1`;
  });

  /** Loses a blob or document of the layout, as a disk or a clumsy person does. */
  const lose = (digest: Digest): Promise<void> =>
    rm(join(rig.engine().directory, 'blobs', ...digest.split(':')), { force: true });

  it('always: asks each time, and brings what the tag has become', async () => {
    const puller = rig.puller();
    await puller.pullWithFailover(name, amd64);
    registry.putImage('team/app:1', newer);
    const report = await puller.pullWithFailover(name, { ...amd64, pullPolicy: 'always' });
    expect(report).to.deep.include({ digest: newer.digest, source: 'registry' });
    await expectWhole(rig.engine(), name, newer);
  });

  it('if-not-present: asks once, then takes what the engine has without any request', async () => {
    const puller = rig.puller({ pullPolicy: 'if-not-present' });
    const first = await puller.pullWithFailover(name, amd64);
    expect(first.source).to.equal('registry');
    registry.putImage('team/app:1', newer);
    const before = registry.requests.length;

    const report = await puller.pullWithFailover(name, { ...amd64, operation: { kind: 'app' } });

    expect(registry.requests).to.have.length(before);
    expect(report).to.deep.include({
      digest: image.digest,
      manifestDigest: image.manifests[0]?.digest,
      imageId: image.config.digest,
      platform: 'linux/amd64',
      source: 'cache',
      resolution: 'remembered',
      served: [],
      attempts: [],
      failovers: [],
      operation: { kind: 'app' },
    });
    expect(report.bytes).to.deep.include({ fetched: 0, kept: 0, local: report.bytes.total });
    expect(report.bytes.total).to.equal(first.bytes.total);
    const said = puller.heard.filter((event) => 'pullId' in event && event.pullId === report.pullId);
    expect(said.map(({ type }) => type)).to.deep.equal(['pull:started', 'pull:served-from-cache', 'pull:succeeded']);
    expect(said[1]).to.deep.include({ why: 'if-not-present', reason: null, digest: image.digest });
  });

  it('never: takes what the engine has', async () => {
    const puller = rig.puller();
    await puller.pullWithFailover(name, amd64);
    const before = registry.requests.length;
    const report = await puller.pullWithFailover(name, { ...amd64, pullPolicy: 'never' });
    expect(report.source).to.equal('cache');
    expect(registry.requests).to.have.length(before);
  });

  it('never: is an ImageNotCachedError without it, and nobody was asked', async () => {
    const puller = rig.puller();
    const error = await failureOf(puller.pullWithFailover(name, { ...amd64, pullPolicy: 'never' }));
    expect(isImageNotCachedError(error)).to.equal(true);
    expect(error).to.deep.include({ image: name, engine: rig.engine().id, retryable: false });
    expect(registry.requests).to.deep.equal([]);
  });

  for (const what of [
    'another platform',
    'a lost layer',
    'a lost config',
    'a lost manifest',
    'a lost index',
  ] as const) {
    it(`${what} is no hit: if-not-present asks a registry, never fails`, async () => {
      const puller = rig.puller();
      await puller.pullWithFailover(name, amd64);
      const lost: Record<string, Digest | undefined> = {
        'a lost layer': image.layers[0]?.digest,
        'a lost config': image.config.digest,
        'a lost manifest': image.manifests[0]?.digest,
        'a lost index': image.digest,
      };
      const digest = lost[what];
      if (digest !== undefined) await lose(digest);
      const wanted = what === 'another platform' ? { platform: 'linux/arm64' } : amd64;

      const error = await failureOf(puller.pullWithFailover(name, { ...wanted, pullPolicy: 'never' }));
      expect(isImageNotCachedError(error)).to.equal(true);
      const report = await puller.pullWithFailover(name, { ...wanted, pullPolicy: 'if-not-present' });
      expect(report).to.deep.include({ source: 'registry', ...wanted });
      const manifest = image.manifests[what === 'another platform' ? 1 : 0];
      await expectWhole(rig.engine(), name, image, manifest);
    });
  }

  it('a cached image of another name or tag is no hit', async () => {
    registry.putImage('team/app:2', image);
    const puller = rig.puller();
    await puller.pullWithFailover(name, amd64);
    const error = await failureOf(
      puller.pullWithFailover(`${registry.host}/team/app:2`, { ...amd64, pullPolicy: 'never' }),
    );
    expect(isImageNotCachedError(error)).to.equal(true);
  });

  it('the cache of one engine is not that of another', async () => {
    const puller = rig.puller();
    await puller.pullWithFailover(name, amd64);
    const engine = rig.engine('another');
    const error = await failureOf(puller.pullWithFailover(name, { ...amd64, engine, pullPolicy: 'never' }));
    expect(error).to.have.property('engine', engine.id);
  });

  it('an image that is refused is refused from the cache too', async () => {
    await rig.puller().pullWithFailover(name, amd64);
    const strict = rig.puller({ registries: ['quay.io/team'], unlisted: 'refuse' });
    for (const pullPolicy of ['if-not-present', 'never', 'always'] as const) {
      const error = await failureOf(strict.pullWithFailover(name, { ...amd64, pullPolicy }));
      expect(isImageRefusedError(error) && error.option, pullPolicy).to.equal('unlisted');
    }
  });

  it('a report from the cache names the replica set', async () => {
    const puller = rig.puller({ registries: [`${registry.host}/team`] });
    await puller.pullWithFailover(name, amd64);
    const report = await puller.pullWithFailover(name, { ...amd64, pullPolicy: 'never' });
    expect(report.replicaSet).to.equal('default');
  });

  describe('whenExhausted: use-cached', () => {
    it('succeeds with the engine’s own copy, and says why', async () => {
      await rig.puller().pullWithFailover(name, amd64);
      await registry.setFaults([connection.refuse()]);
      const puller = rig.puller({ whenExhausted: 'use-cached' });

      const report = await puller.pullWithFailover(name, amd64);

      expect(report).to.deep.include({ source: 'cache', digest: image.digest });
      expect(report.attempts.length).to.be.at.least(1);
      expect(report.bytes).to.deep.include({ fetched: 0, local: report.bytes.total });
      const said = puller.heard.find((event) => event.type === 'pull:served-from-cache');
      expect(said?.why).to.equal('exhausted');
      expect(said?.reason).to.deep.equal(report.attempts.at(-1)?.reason);
    });

    it('is not needed while the digest is remembered: the engine’s blobs are used by it', async () => {
      const puller = rig.puller({ whenExhausted: 'use-cached' });
      await puller.pullWithFailover(name, amd64);
      await registry.setFaults([connection.refuse()]);
      const report = await puller.pullWithFailover(name, amd64);
      expect(report).to.deep.include({ resolution: 'remembered', digest: image.digest });
      expect(report.bytes).to.deep.include({ fetched: 0, local: report.bytes.total });
    });

    it('fails with all attempts where the engine has none', async () => {
      await registry.setFaults([connection.refuse()]);
      const puller = rig.puller({ whenExhausted: 'use-cached' });
      const error = await failureOf(puller.pullWithFailover(name, amd64));
      expect(isPullExhaustedError(error) && error.attempts.length).to.be.at.least(1);
    });
  });
});
