import type { DigestAlgorithm } from '../image/digest.js';
import { openOptionBag } from '../policy/option-bag.js';
import { InvalidOptionError } from '../errors/invalid-option-error.js';
import type { Digest } from '../vocabulary/digest.js';
import { type ByteSource, bytesOf } from './byte-source.js';
import { gzipFramed, largestLayerBytes, seededLayer } from './layer-archive.js';
import { type TestBlob, testBlob, testDocument, type TestImage, testImage, type TestManifest } from './test-image.js';

/** What a seeded image is made of. */
export interface SeededImageOptions {
  /** Layers of each platform; default 1. With a list of `bytes` its length. */
  readonly layers?: number;
  /** Bytes of each layer, unpacked; default 64 KiB. A list gives each layer its own size. At most 8 GiB. */
  readonly bytes?: number | readonly number[];
  /** Images of one seed share their first layers, as builds on one base do; default `'pull-failover'`. */
  readonly seed?: string;
  /** `['linux/amd64', 'linux/arm64/v8']` makes an index; without it there is one manifest, for linux/amd64. */
  readonly platforms?: readonly string[];
  /** Adds a build attestation per platform, as buildx does; makes an index. Default false. */
  readonly attestations?: boolean;
  /** Default `'oci'`. `'docker'`: schema 2 and manifest list. */
  readonly mediaTypes?: 'oci' | 'docker';
  /** Default `'none'`. `'gzip'` frames layers as gzip without making them smaller. */
  readonly compression?: 'none' | 'gzip';
  /** Every layer is one and the same blob, named several times; default false. */
  readonly sameLayers?: boolean;
  /** Default `'sha256'`. */
  readonly digests?: DigestAlgorithm;
  /** Merged into the image's config document. */
  readonly config?: Readonly<Record<string, unknown>>;
}

const defaultLayerBytes: number = 64 * 1024;
const defaultPlatform = 'linux/amd64';

interface MediaTypes {
  readonly index: string;
  readonly manifest: string;
  readonly config: string;
  readonly layer: { readonly none: string; readonly gzip: string };
}

const mediaTypesOf: Readonly<Record<'oci' | 'docker', MediaTypes>> = {
  oci: {
    index: 'application/vnd.oci.image.index.v1+json',
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: { none: 'application/vnd.oci.image.layer.v1.tar', gzip: 'application/vnd.oci.image.layer.v1.tar+gzip' },
  },
  docker: {
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: {
      none: 'application/vnd.docker.image.rootfs.diff.tar',
      gzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
    },
  },
};

/** The options of each seeded image, with which its variants are made. */
const recipes: WeakMap<TestImage, SeededImageOptions> = new WeakMap();

/**
 * Returns an image whose every byte follows from these options, on every machine. Layers from 2 KiB up are
 * tar archives with one file, with matching `diff_ids`, so that real engines take them.
 *
 * Content is computed when it is read and never held; making the image reads it once for its digests,
 * about one second per GiB.
 *
 * @throws {InvalidOptionError} when an option is unknown or out of range
 */
export function seededImage(options: SeededImageOptions = {}): TestImage {
  const bag = openOptionBag('', options, [
    'layers',
    'bytes',
    'seed',
    'platforms',
    'attestations',
    'mediaTypes',
    'compression',
    'sameLayers',
    'digests',
    'config',
  ]);
  const sizes = layerSizes(options.bytes ?? defaultLayerBytes, bag.integer('layers', { min: 0, max: 10_000 }));
  const seed = bag.string('seed') ?? 'pull-failover';
  const types = mediaTypesOf[bag.oneOf('mediaTypes', ['oci', 'docker']) ?? 'oci'];
  const compression = bag.oneOf('compression', ['none', 'gzip']) ?? 'none';
  const algorithm = bag.oneOf('digests', ['sha256', 'sha512']) ?? 'sha256';
  const sameLayers = bag.boolean('sameLayers') ?? false;
  const attested = bag.boolean('attestations') ?? false;
  const platforms = options.platforms ?? [defaultPlatform];
  if (platforms.length === 0) throw new InvalidOptionError('platforms', 'must name at least one platform, got none');

  const manifests = platforms.map((platform): TestManifest => {
    // The first platform is seeded alone, so that a single-platform image is part of the multi-platform one.
    const ofPlatform = platform === platforms[0] ? seed : `${seed} ${platform}`;
    const layers = sizes.map((sizeBytes, index) =>
      seededLayerBlobs(`${ofPlatform} ${sameLayers ? 0 : index}`, sizeBytes, compression, types, algorithm),
    );
    const config = jsonBlob(
      {
        ...platformFields(platform),
        config: { Env: ['PATH=/usr/bin'], Labels: { seed } },
        rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
        history: layers.map((_, index) => ({ created_by: `layer ${index}` })),
        ...options.config,
      },
      types.config,
      algorithm,
    );
    const blobs = layers.map(({ blob }) => blob);
    const content = {
      schemaVersion: 2,
      mediaType: types.manifest,
      config: descriptorOf(config),
      layers: blobs.map(descriptorOf),
    };
    return { ...testDocument(content, types.manifest, algorithm), platform, config, layers: blobs };
  });

  const attestations = attested ? manifests.map((manifest) => attestationOf(manifest, algorithm)) : [];
  const only = manifests[0];
  const top =
    options.platforms === undefined && !attested && only !== undefined
      ? only
      : testDocument(
          {
            schemaVersion: 2,
            mediaType: types.index,
            manifests: [
              ...manifests.map((manifest) => ({
                mediaType: manifest.mediaType,
                digest: manifest.digest,
                size: manifest.bytes.length,
                platform: platformFields(manifest.platform),
              })),
              ...attestations.map(({ descriptor }) => descriptor),
            ],
          },
          types.index,
          algorithm,
        );
  const image = testImage(top, manifests, attestations);
  recipes.set(image, options);
  return image;
}

/**
 * Returns the same image as a `docker push` elsewhere repackages it: the same config digest,
 * other layers (gzip instead of plain, or the other way round), hence another manifest digest.
 *
 * @throws {TypeError} when the image was not made by `seededImage`
 */
export function repackage(image: TestImage): TestImage {
  const recipe = recipeOf(image);
  return seededImage({ ...recipe, compression: recipe.compression === 'gzip' ? 'none' : 'gzip' });
}

/**
 * Returns another image of the same shape, as a tag that was built anew elsewhere: every digest differs.
 *
 * @throws {TypeError} when the image was not made by `seededImage`
 */
export function divergedFrom(image: TestImage): TestImage {
  const recipe = recipeOf(image);
  return seededImage({ ...recipe, seed: `${recipe.seed ?? 'pull-failover'} diverged` });
}

function recipeOf(image: TestImage): SeededImageOptions {
  const recipe = recipes.get(image);
  if (recipe === undefined) throw new TypeError('Only an image made by seededImage has variants');
  return recipe;
}

function layerSizes(bytes: number | readonly number[], layers: number | undefined): readonly number[] {
  const sizes = typeof bytes === 'number' ? Array.from({ length: layers ?? 1 }, () => bytes) : bytes;
  if (layers !== undefined && layers !== sizes.length) {
    throw new InvalidOptionError('layers', `is ${layers}, but bytes lists ${sizes.length} sizes`);
  }
  for (const sizeBytes of sizes) {
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0 || sizeBytes > largestLayerBytes) {
      throw new InvalidOptionError('bytes', `must be integers from 0 to ${largestLayerBytes}, got ${sizeBytes}`);
    }
  }
  return sizes;
}

/** Digests of large contents cost seconds; specs ask for the same ones again and again. */
const knownLayers: Map<string, { readonly blob: TestBlob; readonly diffId: Digest }> = new Map();

function seededLayerBlobs(
  seed: string,
  sizeBytes: number,
  compression: 'none' | 'gzip',
  types: MediaTypes,
  algorithm: DigestAlgorithm,
): { readonly blob: TestBlob; readonly diffId: Digest } {
  const key = [seed, sizeBytes, types.layer[compression], algorithm].join('\n');
  const known = knownLayers.get(key);
  if (known !== undefined) return known;
  const archive = seededLayer(seed, 'seeded.bin', sizeBytes);
  const plain = testBlob(archive, types.layer.none, algorithm);
  const framed: ByteSource | null = compression === 'gzip' ? gzipFramed(archive) : null;
  const blob = framed === null ? plain : testBlob(framed, types.layer.gzip, algorithm);
  const made = { blob, diffId: plain.digest };
  knownLayers.set(key, made);
  return made;
}

function jsonBlob(content: unknown, mediaType: string, algorithm: DigestAlgorithm): TestBlob {
  return testBlob(bytesOf(Buffer.from(JSON.stringify(content))), mediaType, algorithm);
}

interface DescriptorFields {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

function descriptorOf(blob: TestBlob): DescriptorFields {
  return { mediaType: blob.mediaType, digest: blob.digest, size: blob.sizeBytes };
}

function platformFields(platform: string): Readonly<Record<string, string>> {
  const [os = 'linux', architecture = 'amd64', variant] = platform.split('/');
  return { architecture, os, ...(variant === undefined ? {} : { variant }) };
}

/** An in-toto statement about one manifest, in the form buildx gives it. */
function attestationOf(
  manifest: TestManifest,
  algorithm: DigestAlgorithm,
): {
  readonly document: ReturnType<typeof testDocument>;
  readonly blobs: readonly TestBlob[];
  readonly descriptor: unknown;
} {
  const statement = jsonBlob({ subject: manifest.digest }, 'application/vnd.in-toto+json', algorithm);
  const config = jsonBlob(
    { architecture: 'unknown', os: 'unknown', rootfs: { type: 'layers', diff_ids: [statement.digest] } },
    mediaTypesOf.oci.config,
    algorithm,
  );
  const document = testDocument(
    {
      schemaVersion: 2,
      mediaType: mediaTypesOf.oci.manifest,
      config: descriptorOf(config),
      layers: [descriptorOf(statement)],
    },
    mediaTypesOf.oci.manifest,
    algorithm,
  );
  const descriptor = {
    mediaType: document.mediaType,
    digest: document.digest,
    size: document.bytes.length,
    annotations: {
      'vnd.docker.reference.digest': manifest.digest,
      'vnd.docker.reference.type': 'attestation-manifest',
    },
    platform: { architecture: 'unknown', os: 'unknown' },
  };
  return { document, blobs: [config, statement], descriptor };
}
