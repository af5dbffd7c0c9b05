import { epochMs } from '../clock/time.js';
import { dockerParts, type DockerEngine } from '../engine/docker/docker-engine.js';
import type { EngineImage } from '../engine/docker/engine-image.js';
import type { EngineStore } from '../engine/docker/engine-traits.js';
import type { OciLayout } from '../engine/layout/oci-layout.js';
import type { DigestMemory } from '../failover/manifest/resolve-image.js';
import { parseDigest } from '../image/digest.js';
import { maxManifestBytes, parseManifest, type Descriptor } from '../image/manifest.js';
import { choosePlatform, formatPlatform, runsOn, type Platform } from '../image/platform.js';
import { readConfigPlatform } from '../image/read-platform.js';
import { parseReference, type Reference } from '../image/reference.js';
import { createBoundedMap } from '../policy/bounded-map.js';
import { canonicalTagOf } from '../routes/image-names.js';
import type { Digest } from '../vocabulary/digest.js';
import type { PullEngine } from './pull-engine.js';

/** An image that an engine has whole. */
export interface CachedImage {
  /** As the image was published; where nobody knows that any more, the engine's own identifier. */
  readonly digest: Digest;
  /** Whether registries know the image by `digest`. */
  readonly isPublishedDigest: boolean;
  readonly manifestDigest: Digest;
  readonly imageId: string;
  /** What to create a container from. */
  readonly reference: string;
  readonly platform: string;
  /** Of all its manifests and blobs, or what the engine says it takes. */
  readonly bytes: number;
  /** Milliseconds since the engine got it; null where that is not known. */
  readonly ageMs: number | null;
}

/** What to look for, and where. */
export interface CacheQuery {
  readonly engine: PullEngine;
  readonly reference: Reference;
  readonly platform: Platform;
  /** Knows the digest of a tag where the engine has forgotten it. */
  readonly memory: DigestMemory;
  readonly signal: AbortSignal;
}

/** The images of a large host; some 200 bytes each. */
const maxKnownPlatforms = 4_096;

/** A config is read to learn the platform; one larger than this is nobody's. */
const maxConfigBytes = 4 * 1024 * 1024;

/** Finds the image that an engine has under a name, when it is there whole, for this platform. */
export async function findCachedImage(query: CacheQuery): Promise<CachedImage | null> {
  const { engine } = query;
  return engine.kind === 'docker' ? findInDaemon(engine, query) : findInLayout(engine, query);
}

/** What an image that was just brought says it runs on; null when it says nothing, as for artifacts. */
export async function platformOfPulled(
  engine: PullEngine,
  { config, reference }: { readonly config: Descriptor | null; readonly reference: string },
): Promise<Platform | null> {
  if (engine.kind === 'oci-layout') return config === null ? null : platformOfConfig(engine, config);
  const image = await dockerParts(engine)
    .daemon.inspect(reference)
    .catch(() => null);
  return image?.platform ?? null;
}

async function findInLayout(layout: OciLayout, { reference, platform }: CacheQuery): Promise<CachedImage | null> {
  const root = await layout.findImage(reference.canonical);
  if (root === null) return null;
  let descriptor: Descriptor = root;
  let bytes = 0;
  for (;;) {
    const content = await layout.readBlob(descriptor.digest, maxManifestBytes);
    if (content === null) return null;
    bytes += content.length;
    const document = parseManifest(content, descriptor.mediaType);
    if (document.kind === 'index') {
      const child = choosePlatform(document.manifests, platform);
      if (child === null) return null;
      descriptor = child;
      continue;
    }
    const blobs = new Map([document.config, ...document.layers].map((blob) => [blob.digest, blob]));
    for (const blob of blobs.values()) {
      if (!(await layout.hasBlob(blob))) return null;
      bytes += blob.size;
    }
    const own = await platformOfConfig(layout, document.config);
    if (own !== null && !runsOn(platform, own)) return null;
    return {
      digest: root.digest,
      isPublishedDigest: true,
      manifestDigest: descriptor.digest,
      imageId: document.config.digest,
      reference: reference.canonical,
      platform: formatPlatform(own ?? platform),
      bytes,
      ageMs: null,
    };
  }
}

async function findInDaemon(
  engine: DockerEngine,
  { reference, platform, memory, signal }: CacheQuery,
): Promise<CachedImage | null> {
  const { daemon } = dockerParts(engine);
  const { store } = await daemon.traits({ signal });
  const { name: repository, tag } = canonicalTagOf(reference);
  const names = [`${repository}:${tag}`, ...(reference.digest === null ? [] : [`${repository}@${reference.digest}`])];
  for (const name of names) {
    const found = await daemon.inspect(name, signal);
    if (found === null || !runsOn(platform, found.platform)) continue;
    const cached = await describe(found, name, { reference, platform, memory, store });
    if (cached !== null) return cached;
  }
  return null;
}

type Lookup = Pick<CacheQuery, 'reference' | 'platform' | 'memory'> & { readonly store: EngineStore };

async function describe(found: EngineImage, name: string, lookup: Lookup): Promise<CachedImage | null> {
  const { reference, store } = lookup;
  const digest = await digestOfEngineImage(found, lookup);
  // The name of a digest may only be given to that very image; a person can have given it to another.
  if (reference.digest !== null && digest !== null && digest !== reference.digest) return null;
  const known = digest ?? parseDigest(found.id);
  if (known === null) return null;
  return {
    digest: known,
    // Only a containerd store identifies an image by what it was published as.
    isPublishedDigest: digest !== null || store === 'containerd',
    manifestDigest: known,
    imageId: found.id,
    reference: name,
    platform: formatPlatform(found.platform),
    bytes: found.sizeBytes,
    ageMs: found.taggedAtMs === null ? null : Math.max(0, epochMs() - found.taggedAtMs),
  };
}

/**
 * The digest that an image has in registries: what the name asks for, what the engine kept, or what is remembered. Any
 * other than the one asked for when the name was given to another image.
 */
async function digestOfEngineImage(image: EngineImage, lookup: Lookup): Promise<Digest | null> {
  const { reference, platform, memory, store } = lookup;
  const kept = image.digests.flatMap((text) => {
    const [name = '', digest = ''] = text.split('@');
    const parsed = isNameOf(name, reference) ? parseDigest(digest) : null;
    return parsed === null ? [] : [parsed];
  });
  const [first = null] = kept;
  const asked = reference.digest;
  if (asked !== null && kept.includes(asked)) return asked;
  // Only a containerd store keeps a digest of whatever has a name.
  if (first !== null && (asked === null || store === 'containerd')) return first;
  const remembered = await memory.recall(reference.canonical);
  if (asked === null) {
    const isSame = remembered !== null && Object.values(remembered.configs).some((config) => config === image.id);
    return isSame ? remembered.digest : null;
  }
  const config = store === 'containerd' ? undefined : remembered?.configs[formatPlatform(platform)];
  return config === undefined || config === image.id ? asked : parseDigest(image.id);
}

function isNameOf(name: string, reference: Reference): boolean {
  try {
    return parseReference(name).name === reference.name;
  } catch {
    return false;
  }
}

/** What configs say, which is as fixed as their digest. */
const knownPlatforms = createBoundedMap<Digest, Platform>(maxKnownPlatforms);

async function platformOfConfig(layout: OciLayout, config: Descriptor): Promise<Platform | null> {
  const known = knownPlatforms.get(config.digest);
  if (known !== undefined) return known;
  const bytes = await layout.readBlob(config.digest, maxConfigBytes);
  const platform = bytes === null ? null : readConfigPlatform(bytes);
  if (platform !== null) knownPlatforms.set(config.digest, platform);
  return platform;
}
