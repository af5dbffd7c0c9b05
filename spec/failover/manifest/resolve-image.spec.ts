import { expect } from 'chai';
import { isPullExhaustedError } from '../../../lib/errors/pull-exhausted-error.js';
import { isReplicaDivergedError } from '../../../lib/errors/replica-diverged-error.js';
import { isUnsupportedImageError } from '../../../lib/errors/unsupported-image-error.js';
import {
  findOtherPacking,
  resolveImage,
  type RememberedImage,
  type ReplicaPolicy,
  type ResolvedImage,
  type ResolveRequest,
} from '../../../lib/failover/manifest/resolve-image.js';
import { parsePlatform } from '../../../lib/image/platform.js';
import { parseReference } from '../../../lib/image/reference.js';
import { divergedFrom, metadata, repackage, seededImage, type TestImage } from '../../../lib/testing/index.js';
import type { Digest } from '../../../lib/vocabulary/digest.js';
import { startServer } from '../../support/servers.js';
import { closeHeartRigs, type HeartPull, type HeartRig, openHeartRig } from '../support/heart-rig.js';
import {
  blobOf,
  configOf,
  descriptorOf,
  document,
  imageOf,
  manifestOf,
  ociIndexType,
} from '../support/test-documents.js';
import { failureOf } from '../../support/failure-of.js';

const image = seededImage({ layers: 2, bytes: 3_000, seed: 'resolve' });
const diverged = divergedFrom(image);
const repackaged = repackage(image);
const platform = 'linux/amd64';

function rememberedOf(known: TestImage): RememberedImage {
  return { digest: known.digest, configs: { [platform]: known.config.digest } };
}

interface Asked extends Partial<ReplicaPolicy> {
  readonly reference?: string;
  readonly remembered?: RememberedImage;
  readonly platform?: string;
  readonly local?: ReadonlyMap<Digest, Uint8Array>;
}

interface Asking {
  readonly request: ResolveRequest;
  readonly pull: HeartPull;
  /** What was written into the memory. */
  readonly written: (RememberedImage & { readonly registry: string })[];
  readonly resolve: () => Promise<ResolvedImage>;
}

function ask(rig: HeartRig, asked: Asked = {}): Asking {
  const pull = rig.openPull();
  const written: (RememberedImage & { readonly registry: string })[] = [];
  const request: ResolveRequest = {
    reference: parseReference(asked.reference ?? 'registry.example/team/app:1'),
    platform: parsePlatform(asked.platform ?? platform),
    policy: { onDivergence: asked.onDivergence ?? 'remembered', onUnverified: asked.onUnverified ?? 'accept' },
    memory: {
      recall: async () => asked.remembered ?? null,
      remember: async (_, found) => {
        written.push(found);
      },
    },
    local: async (digest) => asked.local?.get(digest) ?? null,
  };
  return { request, pull, written, resolve: () => resolveImage(pull.context, request) };
}

function manifestsAsked(rig: HeartRig, name: 'A' | 'B' | 'C'): readonly (string | null)[] {
  return rig
    .double(name)
    .requests.filter(({ kind }) => kind === 'manifest')
    .map(({ object }) => object);
}

describe('resolveImage', () => {
  afterEach(closeHeartRigs);

  describe('a tag', () => {
    it('is resolved by the first registry, remembered, and asked of nobody else', async () => {
      const rig = await openHeartRig({ image, registries: [[], []] });
      const { resolve, pull, written } = ask(rig);
      const { tree, resolution } = await resolve();
      expect(resolution).to.equal('first-registry');
      expect(tree.root.digest).to.equal(image.digest);
      expect(tree.manifest.digest).to.equal(image.digest);
      expect(tree.config.digest).to.equal(image.config.digest);
      expect(tree.layers.map(({ digest }) => digest)).to.deep.equal(image.layers.map(({ digest }) => digest));
      expect(written).to.deep.equal([{ ...rememberedOf(image), registry: rig.candidates[0]?.registry }]);
      expect(rig.double('B').connections).to.equal(0);
      expect(pull.of('tagResolvedByReplica')).to.deep.equal([]);
    });

    it('that the first registry moved is what it says now', async () => {
      const rig = await openHeartRig({ image, registries: [[]] });
      const { resolve, written } = ask(rig, { remembered: rememberedOf(diverged), onDivergence: 'fail' });
      expect((await resolve()).resolution).to.equal('first-registry');
      expect(written.map(({ digest }) => digest)).to.deep.equal([image.digest]);
    });

    it('keeps the configs of other platforms that are remembered of the same digest', async () => {
      const rig = await openHeartRig({ image, registries: [[]] });
      const other = { 'linux/s390x': diverged.config.digest };
      const { resolve, written } = ask(rig, { remembered: { digest: image.digest, configs: other } });
      await resolve();
      expect(written[0]?.configs).to.deep.equal({ ...other, [platform]: image.config.digest });
    });

    it('resolved by a replica that agrees with what is remembered is confirmed', async () => {
      const rig = await openHeartRig({ image, registries: [[metadata.status(500)], []] });
      const { resolve, pull, written } = ask(rig, {
        remembered: rememberedOf(image),
        onDivergence: 'fail',
        onUnverified: 'fail',
      });
      expect((await resolve()).resolution).to.equal('replica-confirmed');
      expect(pull.of('tagResolvedByReplica')).to.deep.equal([
        [rig.candidates[1]?.registry, image.digest, 'replica-confirmed'],
      ]);
      expect(written).to.deep.equal([]);
    });

    it('resolved by a replica with nothing remembered is unverified, and not remembered', async () => {
      const rig = await openHeartRig({ image, registries: [[metadata.status(500)], []] });
      const { resolve, pull, written } = ask(rig);
      expect((await resolve()).resolution).to.equal('replica-unverified');
      expect(pull.of('tagResolvedByReplica').map(([, , resolution]) => resolution)).to.deep.equal([
        'replica-unverified',
      ]);
      expect(written).to.deep.equal([]);
    });

    it('resolved by a replica with nothing remembered fails where the host says so', async () => {
      const rig = await openHeartRig({ image, registries: [[metadata.status(500)], []] });
      const error = await failureOf(ask(rig, { onUnverified: 'fail' }).resolve());
      if (!isReplicaDivergedError(error)) throw error;
      expect(error).to.include({ registry: rig.candidates[1]?.registry, digest: image.digest });
    });

    it('a registry that may not resolve is not asked for, whatever is wrong with the others', async () => {
      const rig = await openHeartRig({ image, registries: [{ resolves: false }, [metadata.missing()]] });
      const error = await failureOf(ask(rig).resolve());
      expect(isPullExhaustedError(error)).to.equal(true);
      expect(rig.double('A').connections).to.equal(0);
    });

    it('is resolved with authority by the first that may, and what follows is asked of the first of all', async () => {
      const multi = seededImage({ platforms: [platform, 'linux/arm64'], seed: 'resolve' });
      const rig = await openHeartRig({ image: multi, registries: [{ resolves: false }, []] });
      const { resolve, written } = ask(rig);
      expect((await resolve()).resolution).to.equal('first-registry');
      expect(written).to.have.length(1);
      expect(manifestsAsked(rig, 'A')).to.deep.equal([multi.manifests[0]?.digest]);
      expect(manifestsAsked(rig, 'B')).to.deep.equal(['1']);
    });
  });

  describe('a replica that says something else than is remembered', () => {
    const registries = [{ faults: [metadata.status(500, { object: '1' })] }, { image: diverged }];

    it('is not believed: the remembered digest is fetched from whoever has it', async () => {
      const rig = await openHeartRig({ image, registries });
      const { resolve, pull, written } = ask(rig, { remembered: rememberedOf(image) });
      const { tree, resolution } = await resolve();
      expect(resolution).to.equal('remembered');
      expect(tree.root.digest).to.equal(image.digest);
      expect(pull.of('replicaDiverged')).to.deep.equal([
        [rig.candidates[1]?.registry, diverged.digest, image.digest, 'remembered'],
      ]);
      expect(written).to.deep.equal([]);
    });

    it('is believed where the host says so, and reported', async () => {
      const rig = await openHeartRig({ image, registries });
      const { resolve, pull, written } = ask(rig, { remembered: rememberedOf(image), onDivergence: 'replica' });
      const { tree, resolution } = await resolve();
      expect(resolution).to.equal('replica-diverged');
      expect(tree.root.digest).to.equal(diverged.digest);
      expect(pull.of('replicaDiverged').map(([, , , used]) => used)).to.deep.equal(['replica']);
      expect(written).to.deep.equal([]);
    });

    it('ends the pull where the host says so', async () => {
      const rig = await openHeartRig({ image, registries });
      const { resolve, pull } = ask(rig, { remembered: rememberedOf(image), onDivergence: 'fail' });
      const error = await failureOf(resolve());
      if (!isReplicaDivergedError(error)) throw error;
      expect(error).to.include({ digest: diverged.digest, expected: image.digest });
      expect(pull.of('replicaDiverged').map(([, , , used]) => used)).to.deep.equal(['none']);
    });

    it('is not used even when nobody has what is remembered', async () => {
      const rig = await openHeartRig({ image, registries: [[metadata.status(500)], { image: diverged }] });
      const { resolve, pull } = ask(rig, { remembered: rememberedOf(image) });
      expect(isPullExhaustedError(await failureOf(resolve()))).to.equal(true);
      expect(pull.of('replicaRepackaged')).to.deep.equal([]);
    });
  });

  describe('a replica whose image does not run here', () => {
    const foreign = seededImage({ platforms: ['windows/amd64'], seed: 'foreign' });

    it('says nothing against what is remembered', async () => {
      const rig = await openHeartRig({
        image,
        registries: [{ faults: [metadata.status(500, { object: '1' })] }, { image: foreign }],
      });
      const { resolve, pull } = ask(rig, { remembered: rememberedOf(image) });
      expect((await resolve()).resolution).to.equal('remembered');
      expect(pull.of('replicaDiverged').map(([, , , used]) => used)).to.deep.equal(['remembered']);
    });

    it('is passed over when another packing is looked for', async () => {
      const rig = await openHeartRig({ registries: [{ image: foreign }, { image: repackaged }] });
      const { request, pull } = ask(rig);
      const found = await findOtherPacking(pull.context, request, {
        digest: image.digest,
        config: image.config.digest,
        resolvedBy: null,
      });
      expect(found?.tree.root.digest).to.equal(repackaged.digest);
    });
  });

  describe('nobody who resolves', () => {
    it('leaves the remembered digest, from whoever has it', async () => {
      const rig = await openHeartRig({
        image,
        registries: [{ faults: [metadata.status(500, { object: '1' })] }, { image: null }],
      });
      const { resolve } = ask(rig, { remembered: rememberedOf(image) });
      expect((await resolve()).resolution).to.equal('remembered');
    });

    it('and nothing remembered is the end, with every attempt', async () => {
      const rig = await openHeartRig({ image, registries: [[metadata.status(500)], { image: null }] });
      const { resolve, pull } = ask(rig);
      expect(isPullExhaustedError(await failureOf(resolve()))).to.equal(true);
      expect(pull.attempts).to.deep.equal(['A registry-api/http-500 ill', 'B not-replicated/http-404 next']);
    });
  });

  describe('the same image, packed differently', () => {
    it('is no divergence: what is remembered is fetched first', async () => {
      const rig = await openHeartRig({
        image,
        registries: [{ faults: [metadata.status(500, { object: '1' })] }, { image: repackaged }],
      });
      const { resolve, pull } = ask(rig, { remembered: rememberedOf(image), onDivergence: 'fail' });
      const { tree, resolution } = await resolve();
      expect(resolution).to.equal('remembered');
      expect(tree.root.digest).to.equal(image.digest);
      expect(pull.of('replicaDiverged')).to.deep.equal([]);
      expect(pull.of('replicaRepackaged')).to.deep.equal([]);
    });

    it('is used when nobody has the packing that is remembered, and reported', async () => {
      const rig = await openHeartRig({ image, registries: [[metadata.status(500)], { image: repackaged }] });
      const { resolve, pull, written } = ask(rig, { remembered: rememberedOf(image), onDivergence: 'fail' });
      const { tree } = await resolve();
      expect(tree.root.digest).to.equal(repackaged.digest);
      expect(pull.of('replicaRepackaged')).to.deep.equal([
        [rig.candidates[1]?.registry, repackaged.digest, image.digest, image.config.digest],
      ]);
      expect(pull.of('replicaDiverged')).to.deep.equal([]);
      expect(written).to.deep.equal([]);
    });

    it('is used when the manifest that the first registry named is gone everywhere', async () => {
      const multi = seededImage({ platforms: [platform], layers: 2, bytes: 3_000, seed: 'resolve' });
      const rig = await openHeartRig({
        registries: [
          { image: multi, faults: [metadata.missing({ object: multi.manifests[0]?.digest ?? '' })] },
          { image: repackaged },
        ],
      });
      const remembered = { digest: multi.digest, configs: { [platform]: multi.config.digest } };
      const { resolve, pull } = ask(rig, { remembered });
      expect((await resolve()).tree.config.digest).to.equal(multi.config.digest);
      expect(pull.of('replicaRepackaged')).to.have.length(1);
    });

    it('is looked for among all others, past one that has another image', async () => {
      const rig = await openHeartRig({ registries: [{ image: null }, { image: diverged }, { image: repackaged }] });
      const { request, pull } = ask(rig);
      const found = await findOtherPacking(pull.context, request, {
        digest: image.digest,
        config: image.config.digest,
        resolvedBy: null,
      });
      expect(found?.tree.root.digest).to.equal(repackaged.digest);
      expect(pull.of('replicaDiverged').map(([, , , used]) => used)).to.deep.equal(['none']);
    });

    it('is another image when its config is, which is used only where the host says so', async () => {
      for (const onDivergence of ['remembered', 'replica', 'fail'] as const) {
        const rig = await openHeartRig({ registries: [{ image: null }, { image: diverged }] });
        const { request, pull } = ask(rig, { onDivergence });
        const missing = { digest: image.digest, config: image.config.digest, resolvedBy: null };
        const found = await findOtherPacking(pull.context, request, missing);
        expect(found?.resolution ?? null).to.equal(onDivergence === 'replica' ? 'replica-diverged' : null);
        expect(pull.of('replicaDiverged')).to.have.length(1);
      }
    });

    it('is not looked for where the image was named by digest', async () => {
      const rig = await openHeartRig({ registries: [{ image: null }, { image: repackaged }] });
      const { request, pull } = ask(rig, { reference: `registry.example/team/app:1@${image.digest}` });
      expect(
        await findOtherPacking(pull.context, request, {
          digest: image.digest,
          config: image.config.digest,
          resolvedBy: null,
        }),
      ).to.equal(null);
      expect(rig.double('B').connections).to.equal(0);
    });
  });

  describe('a digest', () => {
    for (const [where, reference] of [
      ['a name', `registry.example/team/app@${image.digest}`],
      ['a name with a tag', `registry.example/team/app:1@${image.digest}`],
    ] as const) {
      it(`in ${where} needs nobody to resolve, and its config is remembered`, async () => {
        const rig = await openHeartRig({ image: diverged, registries: [{}, { image, resolves: false }] });
        const { resolve, written, pull } = ask(rig, { reference, onUnverified: 'fail' });
        const { tree, resolution } = await resolve();
        expect(resolution).to.equal('digest-given');
        expect(tree.root.digest).to.equal(image.digest);
        expect(manifestsAsked(rig, 'A')).to.deep.equal([image.digest]);
        expect(written).to.deep.equal([{ ...rememberedOf(image), registry: rig.candidates[1]?.registry }]);
        expect(pull.of('tagResolvedByReplica')).to.deep.equal([]);
      });
    }

    it('that is here already is asked of nobody', async () => {
      const rig = await openHeartRig({ image, registries: [[]] });
      const local = new Map([[image.digest, image.top.bytes]]);
      const { resolve } = ask(rig, { reference: `registry.example/team/app@${image.digest}`, local });
      expect((await resolve()).tree.config.digest).to.equal(image.config.digest);
      expect(rig.double('A').connections).to.equal(0);
    });

    it('whose local copy cannot be understood is what it is everywhere', async () => {
      const broken = document('{"nothing": true}', 'application/json');
      const rig = await openHeartRig({ image, registries: [[]] });
      const local = new Map([[broken.digest, broken.bytes]]);
      const { resolve } = ask(rig, { reference: `registry.example/team/app@${broken.digest}`, local });
      expect(isUnsupportedImageError(await failureOf(resolve()))).to.equal(true);
    });
  });

  describe('an index', () => {
    const multi = seededImage({
      platforms: ['linux/amd64', 'linux/arm64/v8'],
      attestations: true,
      bytes: 3_000,
      seed: 'multi',
    });
    const arm = multi.manifests[1];

    it('leads to the manifest of the platform, past attestations', async () => {
      const rig = await openHeartRig({ image: multi, registries: [[]] });
      const { tree } = await ask(rig, { platform: 'linux/arm64' }).resolve();
      expect(tree.documents.map(({ digest }) => digest)).to.deep.equal([multi.digest, arm?.digest]);
      expect(tree.config.digest).to.equal(arm?.config.digest);
    });

    it('without the platform is unsupported, and says what there is', async () => {
      const rig = await openHeartRig({ image: multi, registries: [[], []] });
      const error = await failureOf(ask(rig, { platform: 'linux/s390x' }).resolve());
      if (!isUnsupportedImageError(error)) throw error;
      expect(error.problem).to.equal('no-such-platform');
      expect(error.message).to.include('linux/arm64').and.not.include('unknown');
      expect(rig.double('B').connections).to.equal(0);
    });

    it('that a registry lacks rules it out neither for the manifests of the index nor for blobs', async () => {
      const rig = await openHeartRig({
        image: multi,
        registries: [{ faults: [metadata.missing({ object: '1' }), metadata.missing({ object: multi.digest })] }, []],
      });
      const { resolve, pull } = ask(rig);
      await resolve();
      expect(manifestsAsked(rig, 'A')).to.deep.equal(['1', multi.manifests[0]?.digest]);
      expect(manifestsAsked(rig, 'B')).to.deep.equal(['1']);
      expect(pull.sources.order('layers')[0]).to.equal(rig.candidates[0]);
      expect(pull.ill).to.deep.equal([]);
    });

    it('whose manifest is here already asks for the index alone', async () => {
      const rig = await openHeartRig({ image: multi, registries: [[]] });
      const [manifest] = multi.manifests;
      if (manifest === undefined) throw new Error('there is one');
      await ask(rig, { local: new Map([[manifest.digest, manifest.bytes]]) }).resolve();
      expect(manifestsAsked(rig, 'A')).to.deep.equal(['1']);
    });

    it('inside an index is followed', async () => {
      const top = document(
        { schemaVersion: 2, mediaType: ociIndexType, manifests: [descriptorOf(multi.top)] },
        ociIndexType,
      );
      const nested = imageOf({ top, documents: multi.documents, config: multi.config, layers: multi.layers });
      const rig = await openHeartRig({ image: nested, registries: [[]] });
      const { tree } = await ask(rig).resolve();
      expect(tree.documents.map(({ digest }) => digest)).to.deep.equal([
        top.digest,
        multi.digest,
        multi.manifests[0]?.digest,
      ]);
    });

    it('inside an index inside an index has an end', async () => {
      let top = multi.top;
      const documents = [...multi.documents];
      for (let depth = 0; depth < 5; depth += 1) {
        top = document(
          {
            schemaVersion: 2,
            mediaType: ociIndexType,
            manifests: [descriptorOf(top)],
            annotations: { depth: `${depth}` },
          },
          ociIndexType,
        );
        documents.push(top);
      }
      const rig = await openHeartRig({
        image: imageOf({ top, documents, config: multi.config, layers: multi.layers }),
        registries: [[]],
      });
      expect(isUnsupportedImageError(await failureOf(ask(rig).resolve()))).to.equal(true);
    });

    it('that lies about the size or type of its manifest is unsupported, and no registry is blamed', async () => {
      const [manifest] = multi.manifests;
      if (manifest === undefined) throw new Error('there is one');
      for (const lie of [{ size: manifest.bytes.length + 1 }, { mediaType: ociIndexType }]) {
        const top = document(
          { schemaVersion: 2, mediaType: ociIndexType, manifests: [descriptorOf(manifest, lie)] },
          ociIndexType,
        );
        const rig = await openHeartRig({
          image: imageOf({ top, documents: [manifest], config: multi.config, layers: multi.layers }),
          registries: [[], []],
        });
        const { resolve, pull } = ask(rig);
        expect(isUnsupportedImageError(await failureOf(resolve())), JSON.stringify(lie)).to.equal(true);
        expect(pull.ill).to.deep.equal([]);
      }
    });
  });

  describe('a document', () => {
    it('that its index embeds is not fetched', async () => {
      const config = configOf('linux/amd64');
      const manifest = manifestOf(config, [blobOf(Buffer.from('layer'))]);
      const top = document(
        {
          schemaVersion: 2,
          mediaType: ociIndexType,
          manifests: [descriptorOf(manifest, { data: Buffer.from(manifest.bytes).toString('base64') })],
        },
        ociIndexType,
      );
      const rig = await openHeartRig({ image: imageOf({ top, config, layers: [] }), registries: [[]] });
      const { tree } = await ask(rig).resolve();
      expect(tree.config.digest).to.equal(config.digest);
      expect(manifestsAsked(rig, 'A')).to.deep.equal(['1']);
    });

    it('of schema 1 is refused, and no other registry is asked', async () => {
      const schema1 = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
      const top = document({ schemaVersion: 1, name: 'team/app', tag: '1', fsLayers: [], history: [] }, schema1);
      const server = await startServer((_, response) => {
        response.setHeader('content-type', schema1);
        response.end(top.bytes);
      });
      try {
        const rig = await openHeartRig({ registries: [{ host: server.authority }, []] });
        const { resolve, pull } = ask(rig);
        const error = await failureOf(resolve());
        if (!isUnsupportedImageError(error)) throw error;
        expect(error.problem).to.equal('schema-1');
        expect(pull.ill).to.deep.equal([]);
        expect(rig.double('B').connections).to.equal(0);
      } finally {
        await server.close();
      }
    });
  });
});
