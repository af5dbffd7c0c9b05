import { expect } from 'chai';
import { isPullExhaustedError } from '../../../lib/errors/pull-exhausted-error.js';
import type { ImageTree } from '../../../lib/failover/manifest/image-tree.js';
import { layers, seededImage } from '../../../lib/testing/index.js';
import type { Digest } from '../../../lib/vocabulary/digest.js';
import { closeHeartRigs, openHeartRig } from '../../failover/support/heart-rig.js';
import { failureOf } from '../../support/failure-of.js';
import { createContainerFrom, engineKinds, nextClassic } from '../load/support/load-rig.js';
import { expectNoTrace, openRelayRouteRig, type RelayRouteRig } from './support/relay-route-rig.js';

const pinned = seededImage({ bytes: [40_000, 30_000], seed: 'relay route pinned' });

/** What a name asks for, and what the image is kept as. */
const references: readonly { readonly asked: string; readonly kept: string }[] = [
  { asked: 'registry.example/team/app:1', kept: 'registry.example/team/app:1' },
  { asked: '127.0.0.1:5001/team/app:1.2-x', kept: '127.0.0.1:5001/team/app:1.2-x' },
  { asked: 'localhost:5001/app', kept: 'localhost:5001/app:latest' },
  { asked: 'redis', kept: 'redis:latest' },
  { asked: 'docker.io/library/redis:3.0', kept: 'redis:3.0' },
  { asked: 'team/app:3', kept: 'team/app:3' },
  { asked: `quay.io/team/app@${pinned.digest}`, kept: `quay.io/team/app:digest-sha256-${pinned.digest.slice(7)}` },
  { asked: `quay.io/team/app:9@${pinned.digest}`, kept: `quay.io/team/app:digest-sha256-${pinned.digest.slice(7)}` },
  { asked: `redis:3.0@${pinned.digest}`, kept: `redis:digest-sha256-${pinned.digest.slice(7)}` },
  { asked: `registry.example/${'long/'.repeat(40)}app:1`, kept: `registry.example/${'long/'.repeat(40)}app:1` },
];

for (const kind of [...Object.values(engineKinds), nextClassic]) {
  describe(`the route over a relay into ${kind.title}`, function () {
    this.timeout(60_000);
    kind.require();
    let rig: RelayRouteRig;
    before(async () => {
      rig = await openRelayRouteRig(await kind.start());
    });
    after(async () => {
      await rig?.[Symbol.asyncDispose]();
    });
    afterEach(async () => {
      await closeHeartRigs();
      await expectNoTrace(rig);
      await rig.clear();
    });

    const identifierOf = (tree: ImageTree): Digest =>
      rig.real.store === 'containerd' ? tree.root.digest : tree.config.digest;

    for (const { asked, kept } of references) {
      it(`keeps ${asked.slice(0, 60)} as ${kept.slice(0, 60)}, and nothing else`, async () => {
        const heart = await openHeartRig({ image: pinned, registries: [[]] });
        const pull = await rig.start(heart.openPull(), { reference: asked });
        await pull.layers();
        expect(pull.told.toSorted()).to.deep.equal(
          [...new Set([pull.tree.config, ...pull.tree.layers].map(({ digest }) => digest))].toSorted(),
        );
        const delivered = await pull.extract();
        expect(delivered.imageId).to.equal(identifierOf(pull.tree));
        expect(delivered.route).to.equal('relay');
        expect(pull.changes).to.deep.equal([]);
        await createContainerFrom(rig.docker, delivered.reference);
        const image = await rig.docker.getImage(delivered.reference).inspect();
        const tags = image.RepoTags.map((tag: string) => tag.replace(/^docker\.io\/(?:library\/)?/, ''));
        expect(tags).to.deep.equal([kept]);
      });
    }

    it('carries what one registry began and another one went on with', async () => {
      const image = seededImage({ bytes: [900_000, 700_000, 500_000], seed: 'relay route failover' });
      const heart = await openHeartRig({ image, registries: [[layers.stall({ afterShare: 0.3 })], []] });
      const pull = await rig.start(heart.openPull(), { stallMs: 500 });
      const delivered = await pull.whole();
      expect(delivered.route).to.equal('relay');
      await createContainerFrom(rig.docker, delivered.reference);
    });

    it('is not blamed on the engine that registries want to be left alone, however often', async () => {
      const image = seededImage({ bytes: [60_000, 50_000], seed: `relay route limited ${rig.real.store}` });
      const limited = layers.status(429, { retryAfter: 2, object: image.layers[1]!.digest, times: 3 });
      const heart = await openHeartRig({ image, registries: [[limited]] });
      const caller = heart.openPull();
      const { limits } = caller.context;
      const impatient = { ...limits.lastCandidate, firstByteMs: 1_000, stallMs: 1_000 };
      const pull = await rig.start(caller, {
        context: {
          limits: { ...limits, lastCandidate: impatient, extract: { stallMs: 1_500 } },
          maxRetryAfterMs: 2_000,
        },
      });
      expect((await pull.whole()).route).to.equal('relay');
      // The config may have to wait too.
      expect(caller.of('waiting').length).to.be.at.least(3);
    });

    it('brings only what is missing, and nothing when it is all there', async () => {
      const base = seededImage({ bytes: [300_000, 200_000], seed: 'relay route base' });
      const grown = seededImage({ bytes: [300_000, 200_000, 100_000], seed: 'relay route base' });
      const heart = await openHeartRig({ image: base, registries: [[]] });
      await (await rig.start(heart.openPull())).whole();
      const next = await openHeartRig({ image: grown, registries: [[]] });
      const pull = await rig.start(next.openPull(), { reference: 'registry.example/team/app:2' });
      await pull.whole();
      expect(pull.changes).to.deep.equal([]);
      const asked = next.double('A').requests.flatMap(({ kind, object }) => (kind === 'blob' ? [object] : []));
      expect(asked).to.have.members([grown.config.digest, grown.layers[2]?.digest]);
      const again = await rig.start(next.openPull(), { reference: 'registry.example/team/app:2' });
      await again.whole();
      const layersAgain = next
        .double('A')
        .requests.slice(asked.length)
        .filter(({ object }) => grown.layers.some(({ digest }) => digest === object));
      expect(layersAgain).to.have.length(1);
    });

    it('takes the platform that was asked for out of an index, attestations or not', async () => {
      const image = seededImage({
        bytes: [60_000, 50_000],
        seed: 'relay route index',
        platforms: ['linux/amd64', 'linux/arm64/v8'],
        attestations: true,
      });
      const heart = await openHeartRig({ image, registries: [[]] });
      const pull = await rig.start(heart.openPull(), { platform: 'linux/arm64/v8' });
      const { imageId, reference } = await pull.whole();
      expect(imageId).to.equal(identifierOf(pull.tree));
      expect((await rig.docker.getImage(reference).inspect()).Architecture).to.equal('arm64');
    });

    it('ends with the error of the registries when a layer cannot be had from anyone, at once', async () => {
      const image = seededImage({ bytes: [60_000, 50_000], seed: `relay route missing ${rig.real.store}` });
      const [, second] = image.layers;
      const heart = await openHeartRig({ image, registries: [[layers.missing({ object: second!.digest })]] });
      const pull = await rig.start(heart.openPull());
      const startedMs = performance.now();
      const failure = await failureOf(pull.whole());
      expect(isPullExhaustedError(failure)).to.equal(true);
      expect(performance.now() - startedMs).to.be.lessThan(5_000);
      expect(await rig.names()).to.deep.equal([]);
    });

    it("ends with the caller's own reason, and leaves nothing", async () => {
      const image = seededImage({ bytes: [3_000_000], seed: `relay route abort ${rig.real.store}` });
      const heart = await openHeartRig({ image, registries: [[layers.stall({ afterShare: 0.5 })]] });
      const caller = heart.openPull();
      const pull = await rig.start(caller, {
        context: { limits: { ...caller.context.limits, lastCandidate: { firstByteMs: 60_000, stallMs: 60_000 } } },
      });
      const reason = new Error('the caller has changed his mind');
      const ended = failureOf(pull.whole());
      setTimeout(() => caller.abort(reason), 1_000);
      expect(await ended).to.equal(reason);
      expect(await rig.names()).to.deep.equal([]);
      const healthy = await openHeartRig({ image, registries: [[]] });
      const { reference } = await (await rig.start(healthy.openPull())).whole();
      await createContainerFrom(rig.docker, reference);
    });

    it('lets several pulls of one name follow each other', async () => {
      const heart = await openHeartRig({ image: pinned, registries: [[]] });
      const pulls = await Promise.all([1, 2, 3, 4].map(() => rig.start(heart.openPull())));
      const delivered = await Promise.all(pulls.map((pull) => pull.whole()));
      for (const { imageId } of delivered) expect(imageId).to.equal(identifierOf(pulls[0]!.tree));
    });

    it('brings several tags of one repository at once, of one image and of others', async () => {
      const other = seededImage({ bytes: [40_000, 20_000], seed: 'relay route other tag' });
      const [heart, otherHeart] = await Promise.all(
        [pinned, other].map((image) => openHeartRig({ image, registries: [[]] })),
      );
      const pulls = await Promise.all(
        [1, 2, 3, 4].map((tag) =>
          rig.start((tag > 2 ? otherHeart! : heart!).openPull(), { reference: `quay.io/team/app:${tag}` }),
        ),
      );
      const delivered = await Promise.all(pulls.map((pull) => pull.whole()));
      expect(delivered.map(({ imageId }) => imageId)).to.deep.equal(pulls.map(({ tree }) => identifierOf(tree)));
      for (const { reference } of delivered) await createContainerFrom(rig.docker, reference);
    });

    it('brings another platform of an image that is there', async () => {
      const image = seededImage({
        bytes: [60_000, 50_000],
        seed: 'relay route platforms',
        platforms: ['linux/amd64', 'linux/arm64/v8'],
      });
      const heart = await openHeartRig({ image, registries: [[]] });
      for (const platform of ['linux/amd64', 'linux/arm64/v8', 'linux/amd64']) {
        const pull = await rig.start(heart.openPull(), { platform });
        expect((await pull.whole()).imageId).to.equal(identifierOf(pull.tree));
        expect(pull.changes).to.deep.equal([]);
      }
    });

    it('brings many images at once that share their first layers', async () => {
      const images = Array.from({ length: 8 }, (_, index) =>
        seededImage({ bytes: [200_000, 100_000, 50_000 + 1_000 * index], seed: 'relay route crowd' }),
      );
      const started = await Promise.all(
        images.map(async (image, index) => {
          const heart = await openHeartRig({ image, registries: [[]] });
          return rig.start(heart.openPull(), { reference: `registry.example/team/app-${index}:1` });
        }),
      );
      const delivered = await Promise.all(started.map((pull) => pull.whole()));
      expect(started.flatMap(({ changes }) => changes)).to.deep.equal([]);
      for (const { reference } of delivered) await createContainerFrom(rig.docker, reference);
    });
  });
}
