import { expect } from 'chai';
import type { DockerEngine } from '../../lib/engine/docker-engine.js';
import { seededImage } from '../../lib/testing/index.js';
import { closeHeartRigs, openHeartRig } from '../failover/support/heart-rig.js';
import type { RealEngine } from '../support/real-engine.js';
import { createContainerFrom, engineKinds, engineOf, namesIn, startLoad, usualReference } from './load-rig.js';

for (const kind of Object.values(engineKinds)) {
  describe(`the load route into ${kind.title}`, function () {
    this.timeout(60_000);
    kind.require();
    let real: RealEngine;
    let engine: DockerEngine;
    before(async () => {
      real = await kind.start();
      engine = engineOf(real);
    });
    after(async () => {
      await engine?.close();
      await real?.close();
    });
    afterEach(closeHeartRigs);

    /** What the engine calls an image of this tree. */
    const idOf = (image: { readonly digest: string; readonly config: { readonly digest: string } }): string =>
      real.store === 'containerd' ? image.digest : image.config.digest;

    it('brings an image that a container can be created from, under its own name alone', async () => {
      const image = seededImage({ layers: 3, bytes: 100_000, seed: `load ${kind.title}` });
      const rig = await openHeartRig({ image, registries: [[]] });
      const load = await startLoad(engine, rig.openPull());
      const delivered = await load.whole();
      expect(delivered).to.deep.equal({ imageId: idOf(image), reference: usualReference, route: 'load' });
      expect(await namesIn(real.docker)).to.deep.equal([usualReference]);
      expect(load.told.toSorted()).to.deep.equal(image.blobs.map(({ digest }) => digest).toSorted());
      await createContainerFrom(real.docker, delivered.reference);
    });
  });
}
