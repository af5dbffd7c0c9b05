import type { DockerDaemon } from '../../engine/docker/docker-daemon.js';
import type { EngineImage } from '../../engine/docker/engine-image.js';
import type { EngineTraits } from '../../engine/docker/engine-traits.js';
import type { ImageTree, TreeDocument } from '../../failover/manifest/image-tree.js';
import { digestAlgorithm } from '../../image/digest.js';
import { formatPlatform, type Platform } from '../../image/platform.js';
import type { Digest } from '../../vocabulary/digest.js';
import { findGiven } from './given-blobs.js';
import { isImageOfTree } from '../image-names.js';
import { countLayersThere, readDiffIds } from './load-layers.js';

/** What there is to load, and where. */
export interface LoadSubject {
  readonly daemon: DockerDaemon;
  readonly traits: EngineTraits;
  readonly tree: ImageTree;
  readonly platform: Platform;
  /** Reads the image's config, when it is needed; the same bytes each time. */
  readonly readConfig: () => Promise<Uint8Array>;
  readonly signal: AbortSignal;
}

/** What an archive is made of. */
export interface ArchivePlan {
  /** What the archive names as the image, where it keeps the digest that the image was published with. */
  readonly root: TreeDocument;
  /** Layers that the engine has already, by the digests of their blobs. */
  readonly omitted: ReadonlySet<Digest>;
}

/**
 * The image, when the engine has all of it under whatever name; null when it has not, or when that cannot be known: a
 * containerd store tells of an image that was not unpacked, or not to its end, as of any other.
 */
export async function findWholeImage({ daemon, traits, tree, signal }: LoadSubject): Promise<EngineImage | null> {
  // The other stores compute identifiers themselves, with sha256 alone.
  const isKnown = traits.store !== 'containerd' && digestAlgorithm(tree.config.digest) === 'sha256';
  return isKnown ? daemon.inspect(tree.config.digest, signal) : null;
}

/**
 * Decides what is sent. On the classic store a layer that some image has is known to be there. Podman knows layers by
 * the digests of their blobs, which it does not tell: what it does not find, it says, and then all is sent. A containerd
 * store would take an archive that lacks a layer, and have an image that can be run but neither pushed nor saved; there
 * only what it lists as whole, and what this process itself brought, is left out.
 */
export async function planArchive(subject: LoadSubject): Promise<ArchivePlan> {
  const { daemon, traits, tree, platform, signal } = subject;
  if (traits.store === 'containerd') {
    const layers = new Set(tree.layers.map(({ digest }) => digest));
    const omitted = (await isListed(subject)) ? layers : await findGiven(daemon, layers, signal);
    return { root: tree.root, omitted };
  }
  const diffIds = readDiffIds(await subject.readConfig()) ?? [];
  const isPlain = diffIds.length === tree.layers.length;
  const there = isPlain ? await countLayersThere(daemon, diffIds, signal) : 0;
  const needed = new Set(tree.layers.slice(there).map(({ digest }) => digest));
  const known = tree.layers.slice(0, there).map(({ digest }) => digest);
  return {
    // From an index Podman takes the manifest of its own platform, whatever was asked for.
    root: isOwnPlatform(platform, traits) ? tree.root : tree.manifest,
    omitted: new Set(known.filter((digest) => !needed.has(digest))),
  };
}

/**
 * Whether a containerd store has the layers of this image. An index keeps its digest although most of it is missing,
 * so it has to be the one of this platform, with these layers; and only an image whose content is there is listed.
 */
async function isListed({ daemon, traits, tree, platform, readConfig, signal }: LoadSubject): Promise<boolean> {
  const listed = (await daemon.list(signal)).find((image) => isImageOfTree(image, tree, traits.store));
  const image = listed === undefined ? null : await daemon.inspect(listed.id, signal);
  if (image === null || formatPlatform(image.platform) !== formatPlatform(platform)) return false;
  const diffIds = readDiffIds(await readConfig());
  return diffIds !== null && diffIds.join() === image.diffIds.join();
}

/** What is sent when an engine does not take the first archive: all that there is, or null when that was all. */
export function fullArchive({ tree, traits }: LoadSubject, first: ArchivePlan): ArchivePlan | null {
  const root = traits.store === 'podman' ? tree.manifest : first.root;
  return first.omitted.size === 0 && root === first.root ? null : { root, omitted: new Set() };
}

function isOwnPlatform({ os, architecture }: Platform, traits: EngineTraits): boolean {
  return traits.platform === `${os}/${architecture}`;
}
