import { expect } from 'chai';
import { dockerEngine, type DockerEngine } from '../../lib/engine/docker/docker-engine.js';
import { isPullExhaustedError } from '../../lib/errors/pull-exhausted-error.js';
import { metadata, seededImage, type Fault } from '../../lib/testing/index.js';
import type { RegistryDouble } from '../../lib/testing/registry-double.js';
import { requireDockerd, requireNextRelease, startDockerd, type RealEngine } from '../support/docker-engine.js';
import { usePullRig } from './pull-rig.js';

const image = seededImage({ layers: 1, bytes: 5_000, seed: 'forgotten digest' });
const own = { credentials: { username: 'tenant', password: 'of the tenant' } } as const;

describe('an image whose published digest the classic store does not keep, and nobody remembers', function () {
  this.timeout(60_000);
  requireDockerd();
  const rig = usePullRig();
  let real: RealEngine;
  let engine: DockerEngine;
  let registry: RegistryDouble;

  before(async () => {
    real = await startDockerd({ store: 'graph' });
  });
  after(async () => {
    await real?.close();
  });

  beforeEach(async () => {
    engine = dockerEngine(real.docker);
    registry = await rig.registry({ images: { 'team/app:1': image } });
    await rig.puller({ engine }).pullWithFailover(`${registry.host}/team/app:1`);
  });
  afterEach(async () => {
    await engine.close();
  });

  async function ask(faults: readonly Fault[]): Promise<{ readonly outcome: unknown; readonly asked: unknown[] }> {
    await registry.setFaults(faults);
    const before = registry.requests.length;
    const pulled = rig.puller({ engine }).pullWithFailover(`${registry.host}/team/app:1`, {
      ...own,
      pullPolicy: 'if-not-present',
    });
    const outcome = await pulled.catch((error: unknown) => error);
    const asked = registry.requests.slice(before).filter(({ kind }) => kind === 'manifest');
    return { outcome, asked: asked.map(({ object }) => object) };
  }

  it('is given to a caller with credentials of its own whom the registry shows the tag', async () => {
    const { outcome, asked } = await ask([]);
    expect(outcome).to.include({ source: 'cache', digest: image.manifests[0]?.config.digest });
    expect(asked).to.deep.equal(['1']);
  });

  it('is not given to one whom the registry denies it', async () => {
    const { outcome } = await ask([metadata.status(403)]);
    expect(isPullExhaustedError(outcome) && outcome.attempts.at(-1)?.reason.code).to.equal('http-403');
  });
});

for (const { store, release, require } of [
  { store: 'graph', release: 'installed', require: requireDockerd },
  { store: 'containerd', release: 'next', require: requireNextRelease },
] as const) {
  describe(`an image that a person gave the name of another digest, in a ${store} store`, function () {
    this.timeout(60_000);
    require();
    const rig = usePullRig();
    const other = seededImage({ layers: 1, bytes: 5_000, seed: 'another digest' });
    let real: RealEngine;

    before(async () => {
      real = await startDockerd({ store, release });
    });
    after(async () => {
      await real?.close();
    });

    it('is no hit for that digest, and the right one is', async () => {
      const registry = await rig.registry({ images: { 'team/app:1': image, 'team/app:2': other } });
      const repo = `${registry.host}/team/app`;
      await using engine = dockerEngine(real.docker);
      const puller = rig.puller({ engine });
      // The classic store keeps only the name: what the digest stands for is known from an earlier pull.
      const { imageId } = await puller.pullWithFailover(`${repo}@${image.digest}`);
      await puller.pullWithFailover(`${repo}:2`);
      const tag = `digest-sha256-${image.digest.slice('sha256:'.length)}`;
      await real.docker.getImage(`${repo}:2`).tag({ repo, tag });

      const pulled: unknown[] = [];
      for (let times = 1; times <= 2; times += 1) {
        const report = await puller.pullWithFailover(`${repo}@${image.digest}`, { pullPolicy: 'if-not-present' });
        pulled.push([report.source, report.digest, report.imageId]);
      }
      expect(pulled).to.deep.equal([
        ['registry', image.digest, imageId],
        ['cache', image.digest, imageId],
      ]);
    });
  });
}
