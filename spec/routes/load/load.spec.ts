import { expect } from 'chai';
import type { DockerEngine } from '../../../lib/engine/docker/docker-engine.js';
import { layers, seededImage, type TestBlob, type TestImage } from '../../../lib/testing/index.js';
import { descriptorOf, imageOf, manifestOf } from '../../failover/support/test-documents.js';
import { closeHeartRigs, type HeartRig, openHeartRig } from '../../failover/support/heart-rig.js';
import { type RealEngine, removeImages } from '../../support/real-engine.js';
import {
  createContainerFrom,
  engineKinds,
  engineOf,
  type LoadRequest,
  namesIn,
  nextClassic,
  startLoad,
  type StartedLoad,
  usualReference,
} from './support/load-rig.js';

for (const kind of [...Object.values(engineKinds), nextClassic]) {
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
    afterEach(async () => {
      await closeHeartRigs();
      await removeImages(real);
    });

    /** What the engine calls an image. */
    const idOf = (image: TestImage, manifest: { readonly config: TestBlob } = image): string =>
      real.store === 'containerd' ? image.digest : manifest.config.digest;

    /** Loads an image whole, from a registry of its own. */
    async function bring(image: TestImage, request: LoadRequest = {}): Promise<{ rig: HeartRig; load: StartedLoad }> {
      const rig = await openHeartRig({ image, registries: [[]] });
      const load = await startLoad(engine, rig.openPull(), request);
      expect((await load.whole()).route).to.equal('load');
      return { rig, load };
    }

    const asked = (rig: HeartRig): readonly (string | null)[] =>
      rig
        .double('A')
        .requests.filter(({ kind }) => kind === 'blob')
        .map(({ object }) => object);

    it('brings an image that a container can be created from, under its own name alone', async () => {
      const image = seededImage({ layers: 3, bytes: 100_000, seed: 'load plain' });
      const rig = await openHeartRig({ image, registries: [[]] });
      const load = await startLoad(engine, rig.openPull());
      const delivered = await load.whole();
      expect(delivered).to.deep.equal({ imageId: idOf(image), reference: usualReference, route: 'load' });
      expect(await namesIn(real.docker)).to.deep.equal([usualReference]);
      expect(load.told.toSorted()).to.deep.equal(image.blobs.map(({ digest }) => digest).toSorted());
      await createContainerFrom(real.docker, delivered.reference);
    });

    it('brings more layers than wait on disk at a time, and large ones', async () => {
      const image = seededImage({ bytes: [5_000_000, 10_000, 3_000_000, 40_000, 7_000_000, 9_000], seed: 'load many' });
      const { load } = await bring(image);
      expect(load.told).to.have.length(7);
      await createContainerFrom(real.docker, usualReference);
    });

    it('brings compressed layers', async () => {
      await bring(seededImage({ layers: 2, bytes: 50_000, compression: 'gzip', seed: 'load gzip' }));
      await createContainerFrom(real.docker, usualReference);
    });

    it('keeps the digests of an index that lacks other platforms, where the engine keeps any', async () => {
      const image = seededImage({
        platforms: ['linux/arm64', 'linux/amd64', 'linux/s390x'],
        attestations: true,
        layers: 2,
        bytes: 30_000,
        seed: 'load index',
      });
      const amd64 = image.manifests[1] ?? image.manifests[0]!;
      const { load } = await bring(image);
      expect(load.tree.manifest.digest).to.equal(amd64.digest);
      const { Id, RepoDigests } = await real.docker.getImage(usualReference).inspect();
      expect(Id).to.equal(idOf(image, amd64));
      const expected = { graph: [], containerd: [image.digest], podman: [image.digest, amd64.digest] }[real.store];
      expect((RepoDigests ?? []).toSorted()).to.deep.equal(
        expected.map((digest) => `registry.example/team/app@${digest}`).toSorted(),
      );
      await createContainerFrom(real.docker, usualReference);
      if (real.store !== 'graph') await createContainerFrom(real.docker, `registry.example/team/app@${image.digest}`);
    });

    it('brings the image of another platform', async () => {
      const image = seededImage({ platforms: ['linux/amd64', 'linux/arm64'], bytes: 30_000, seed: 'load arm64' });
      const arm64 = image.manifests[1]!;
      await bring(image, { platform: 'linux/arm64' });
      const { Id, Architecture } = await real.docker.getImage(usualReference).inspect();
      expect({ Id, Architecture }).to.deep.equal({ Id: idOf(image, arm64), Architecture: 'arm64' });
    });

    it('names an image that was asked for by digest after the digest', async () => {
      const image = seededImage({ bytes: 20_000, seed: 'load digest' });
      const { load } = await bring(image, { reference: `registry.example/team/app@${image.digest}` });
      const name = `registry.example/team/app:digest-${image.digest.replace(':', '-')}`;
      expect(await load.extract()).to.include({ reference: name });
      expect(await namesIn(real.docker)).to.deep.equal([name]);
      await createContainerFrom(real.docker, name);
    });

    it("brings an image with Docker's media types", async () => {
      const image = seededImage({
        mediaTypes: 'docker',
        compression: 'gzip',
        platforms: ['linux/amd64', 'linux/arm64'],
        bytes: 20_000,
        seed: 'load schema 2',
      });
      await bring(image);
      expect((await real.docker.getImage(usualReference).inspect()).Id).to.equal(idOf(image));
    });

    it('sends nothing when the engine has the image, and gives it one more name', async () => {
      const image = seededImage({ layers: 2, bytes: 30_000, seed: 'load again' });
      await bring(image);
      const again = await bring(image);
      const other = await bring(image, { reference: 'registry.example/team/app:2' });
      for (const { rig, load } of [again, other]) {
        // Only the config tells a containerd store's image from another one of the same index.
        expect(asked(rig)).to.deep.equal(real.store === 'containerd' ? [image.config.digest] : []);
        expect(new Set(load.told)).to.deep.equal(new Set(image.blobs.map(({ digest }) => digest)));
      }
      expect((await namesIn(real.docker)).toSorted()).to.deep.equal([usualReference, 'registry.example/team/app:2']);
    });

    it('moves the name when the tag has another image', async () => {
      const before = seededImage({ bytes: 20_000, seed: 'load before' });
      const after = seededImage({ bytes: 20_000, seed: 'load after' });
      await bring(before);
      await bring(after);
      expect((await real.docker.getImage(usualReference).inspect()).Id).to.equal(idOf(after));
      expect((await real.docker.getImage(idOf(before)).inspect()).RepoTags ?? []).to.deep.equal([]);
    });

    it('leaves out what the engine is known to have', async () => {
      // Images of one seed have their first layers in common.
      const base = seededImage({ layers: 3, bytes: 40_000, seed: 'load base' });
      const image = seededImage({ layers: 5, bytes: 40_000, seed: 'load base' });
      await bring(base, { reference: 'registry.example/team/base:1' });
      const { rig, load } = await bring(image);
      const missing = image.layers.slice(3).map(({ digest }) => digest);
      expect(new Set(asked(rig))).to.deep.equal(new Set([image.config.digest, ...missing]));
      expect(load.told.toSorted()).to.deep.equal(image.blobs.map(({ digest }) => digest).toSorted());
      await createContainerFrom(real.docker, usualReference);
    });

    it('sends all when the engine has the same layers in another form', async () => {
      const plain = seededImage({ layers: 2, bytes: 40_000, seed: 'load form' });
      const gzip = seededImage({ layers: 3, bytes: 40_000, compression: 'gzip', seed: 'load form' });
      await bring(plain, { reference: 'registry.example/team/base:1' });
      const { load } = await bring(gzip);
      expect(load.told.toSorted()).to.deep.equal(gzip.blobs.map(({ digest }) => digest).toSorted());
      expect((await real.docker.getImage(usualReference).inspect()).Id).to.equal(idOf(gzip));
      await createContainerFrom(real.docker, usualReference);
    });

    it('brings a layer that is named several times once', async () => {
      const image = seededImage({ layers: 4, bytes: 40_000, sameLayers: true, seed: 'load same' });
      const { rig } = await bring(image);
      expect(asked(rig)).to.have.length(2);
      await createContainerFrom(real.docker, usualReference);
    });

    it('brings layers that the manifest embeds without asking for them', async () => {
      const source = seededImage({ bytes: 4_096, seed: 'load embedded' });
      const [layer] = source.layers;
      const bytes = Buffer.concat([...layer!.read()]);
      const top = manifestOf(source.config, [descriptorOf(layer!, { data: bytes.toString('base64') })]);
      const image = imageOf({ top, config: source.config, layers: source.layers });
      const { rig } = await bring(image);
      expect(asked(rig)).to.deep.equal([source.config.digest]);
      await createContainerFrom(real.docker, usualReference);
    });

    it('goes on at the next registry where one stops, and with the bytes of the honest where one lies', async () => {
      const image = seededImage({ layers: 4, bytes: 200_000, seed: 'load failover' });
      const rig = await openHeartRig({
        image,
        registries: [[layers.stall({ afterBytes: 60_000, object: image.layers[1]!.digest })], [], []],
      });
      await (await startLoad(engine, rig.openPull())).whole();
      expect(rig.double('B').bytesSent).to.be.above(100_000);

      const other = seededImage({ layers: 4, bytes: 200_000, seed: 'load lies' });
      const liars = await openHeartRig({ image: other, registries: [[layers.wrongBytes({ atShare: 0.5 })], []] });
      const pull = liars.openPull();
      await (await startLoad(engine, pull)).whole();
      expect(pull.ill).to.deep.equal(['A layers']);
      expect((await real.docker.getImage(usualReference).inspect()).Id).to.equal(idOf(other));
      await createContainerFrom(real.docker, usualReference);
    });

    it('brings several images at once', async () => {
      const images = Array.from({ length: 6 }, (_, index) =>
        seededImage({ layers: 3, bytes: 300_000, seed: `load at once ${index}` }),
      );
      await Promise.all(
        images.map((image, index) => bring(image, { reference: `registry.example/team/app:${index}` })),
      );
      expect(await namesIn(real.docker)).to.have.length(6);
      for (const [index, image] of images.entries()) {
        expect((await real.docker.getImage(`registry.example/team/app:${index}`).inspect()).Id).to.equal(idOf(image));
      }
    });
  });
}
