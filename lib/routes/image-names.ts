import type { DockerDaemon } from '../engine/docker/docker-daemon.js';
import type { EngineImage } from '../engine/docker/engine-image.js';
import type { EngineStore } from '../engine/docker/engine-traits.js';
import { EngineError } from '../errors/engine-error.js';
import type { ImageTree } from '../failover/manifest/image-tree.js';
import type { Reference } from '../image/reference.js';
import { digestTag } from '../relay/relay-name.js';
import { createKeyedMutex } from './keyed-mutex.js';

/** A name that an engine keeps an image under. */
export interface ImageTag {
  /** `host/path`, with its host also on Docker Hub: Podman looks for other images by a name without one. */
  readonly name: string;
  readonly tag: string;
}

/**
 * The name that an engine keeps an image under, which a container can be created from. One that was asked for by
 * digest is kept under a tag made from the digest, whatever its tag: no engine lets a digest be given to an image,
 * Docker's classic store removes an image with its last tag, and a tag beside a digest may be another image's by now.
 */
export function canonicalTagOf({ name, tag, digest }: Reference): ImageTag {
  if (digest !== null) return { name, tag: digestTag(digest) };
  if (tag === null) throw new Error('a reference has a tag or a digest');
  return { name, tag };
}

/** `name:tag`. */
export function textOfTag({ name, tag }: ImageTag): string {
  return `${name}:${tag}`;
}

/** Whether what an engine has is the image of this tree, by the identifier that its store gives to images. */
export function isImageOfTree({ id }: Pick<EngineImage, 'id'>, tree: ImageTree, store: EngineStore): boolean {
  switch (store) {
    case 'graph':
    case 'podman':
      return id === tree.config.digest;
    case 'containerd':
      return tree.documents.some(({ digest }) => digest === id);
  }
}

/** An image that an engine has under a name of ours. */
export interface ImageNaming {
  readonly daemon: DockerDaemon;
  readonly engineId: string;
  readonly store: EngineStore;
  readonly tree: ImageTree;
  /** The name it has, which nobody else uses. */
  readonly from: ImageTag;
  /** The name it gets. */
  readonly to: ImageTag;
  readonly signal: AbortSignal;
}

/**
 * Podman 4.3 reads the names of an image and writes them back, and so loses what is given or taken away meanwhile (seen
 * with four pulls at once): ours take turns, and look whether another client's came between, so many times.
 */
export const maxNamings = 5;
const podmanImages = createKeyedMutex();

/** An image whose names are changed. */
export interface NamedImage {
  readonly daemon: DockerDaemon;
  readonly store: EngineStore;
  /** The engine's identifier of it. */
  readonly imageId: string;
  readonly signal: AbortSignal;
}

/** Changes the names of an image, for Podman when nobody else of this process changes names of it. */
export async function changeNames<T>(image: NamedImage, change: () => Promise<T>): Promise<T> {
  if (image.store !== 'podman') return change();
  const release = await podmanImages.acquire(`${image.daemon.address} ${image.imageId}`, image.signal);
  try {
    return await change();
  } finally {
    release();
  }
}

/**
 * Moves an image from the relay's name to its own one, and returns the engine's identifier of it. Tagged first: with
 * its last name an engine removes the image. May be repeated after the engine was lost on the way.
 *
 * The old name is taken away by its tag, never by its digest: Podman 4.3 would take that for any image with this digest.
 *
 * @throws EngineError when the engine has another image than it was given; EngineFailure
 */
export async function moveName(naming: ImageNaming): Promise<string> {
  const { daemon, store, tree, signal } = naming;
  if (store !== 'podman') return moveOnce(naming);
  return changeNames({ daemon, store, imageId: tree.config.digest, signal }, async () => {
    for (let tries = 1; ; tries += 1) {
      const id = await moveOnce(naming);
      if (tries === maxNamings || (await hasMoved(naming))) return id;
    }
  });
}

async function moveOnce(naming: ImageNaming): Promise<string> {
  const { daemon, engineId, store, tree, to, signal } = naming;
  const [from, target] = [textOfTag(naming.from), textOfTag(to)];
  const pulled = await daemon.inspect(from, signal);
  const named = pulled ?? (await daemon.inspect(target, signal));
  // Podman loses names, and keeps the image under its identifier.
  const isNameless = store === 'podman' && pulled === null && (named === null || !isImageOfTree(named, tree, store));
  const image = isNameless ? ((await daemon.inspect(tree.config.digest, signal)) ?? named) : named;
  if (image === null) throw new EngineError(engineId, `it said that it had ${target}, and does not know it`);
  if (!isImageOfTree(image, tree, store)) {
    throw new EngineError(
      engineId,
      `it has ${image.id} as ${target}, where ${tree.config.digest} of ${tree.root.digest} was to be`,
    );
  }
  if (isNameless) await daemon.tag(image.id, to, signal);
  if (pulled !== null) {
    await daemon.tag(from, to, signal);
    await daemon.untag(from, signal);
  }
  return image.id;
}

async function hasMoved({ daemon, store, tree, from, to, signal }: ImageNaming): Promise<boolean> {
  const image = await daemon.inspect(textOfTag(to), signal);
  return (
    image !== null && isImageOfTree(image, tree, store) && (await daemon.inspect(textOfTag(from), signal)) === null
  );
}
