import type { DockerDaemon } from '../../engine/docker/docker-daemon.js';
import type { EngineImage, ListedImage } from '../../engine/docker/engine-image.js';
import type { EngineStore } from '../../engine/docker/engine-traits.js';
import { EngineError } from '../../errors/engine-error.js';
import { isInvalidReferenceError } from '../../errors/invalid-reference-error.js';
import { parseReference } from '../../image/reference.js';
import { textOfTag, type ImageTag } from '../image-names.js';

/** An image at one registry, as an engine pulls it and then calls it. */
export interface PulledName {
  /** `host/path` there. */
  readonly name: string;
  /** A tag or a digest. */
  readonly object: string;
}

/** `name:tag` or `name@digest`. */
export function textOfName({ name, object }: PulledName): string {
  return `${name}${object.includes(':') ? '@' : ':'}${object}`;
}

/** The names of one repository in one engine. */
export interface RepositoryNames {
  readonly daemon: DockerDaemon;
  readonly store: EngineStore;
  /** `host/path`. */
  readonly repository: string;
  readonly signal: AbortSignal;
}

/** Every name that an engine has of a repository: what was there before a pull is not the pull's to take away. */
export async function listNames(names: RepositoryNames): Promise<ReadonlySet<string>> {
  const images = await names.daemon.list(names.signal);
  return new Set(images.flatMap((image) => ownNames(image, names)));
}

function ownNames(image: ListedImage, { store, repository }: RepositoryNames): readonly string[] {
  // What Podman lists as digests it makes up from names and manifests; to delete one may delete the image.
  const listed = store === 'podman' ? image.tags : [...image.tags, ...image.digests];
  return listed.flatMap((text) => {
    const name = canonicalOf(text);
    return name?.startsWith(`${repository}:`) === true || name?.startsWith(`${repository}@`) === true ? [name] : [];
  });
}

/** In full: an engine leaves Docker Hub's host out. Null for what is no name. */
function canonicalOf(text: string): string | null {
  try {
    return parseReference(text).canonical;
  } catch (error) {
    if (isInvalidReferenceError(error)) return null;
    throw error;
  }
}

/** An image that was pulled, on its way to its own name. */
export interface PulledNaming {
  readonly daemon: DockerDaemon;
  readonly store: EngineStore;
  readonly engineId: string;
  readonly pulled: PulledName;
  /** The image's own name, without tag and digest. */
  readonly canonicalName: string;
  readonly to: ImageTag;
  /** The names that the engine had of the registry's repository before. */
  readonly before: ReadonlySet<string>;
  readonly signal: AbortSignal;
}

/**
 * Gives an image its own name, then takes away the registry's, except what was there before. A digest under the image's
 * own name stays: it is no other registry's.
 *
 * @throws EngineError when the engine does not know what it pulled; EngineFailure
 */
export async function nameAsOwn(naming: PulledNaming): Promise<EngineImage> {
  const { daemon, engineId, pulled, canonicalName, to, signal } = naming;
  const source = textOfName(pulled);
  const image = await daemon.inspect(source, signal);
  if (image === null) throw new EngineError(engineId, `it said that it had pulled ${source}, and does not know it`);
  if (source !== textOfTag(to)) await daemon.tag(source, to, signal);
  if (pulled.name !== canonicalName) await forgetNames(naming);
  return image;
}

/**
 * Takes away the names that a pull gave and that were not there before it.
 *
 * @throws EngineFailure
 */
export async function forgetNames(naming: Omit<PulledNaming, 'engineId' | 'canonicalName' | 'to'>): Promise<void> {
  const { pulled, before, daemon, store, signal } = naming;
  const names = { daemon, store, repository: pulled.name, signal };
  const ours = new Set([textOfName(pulled)]);
  // With the tag Docker's classic store gives the digest as well, and mostly takes it away with it.
  if (store === 'graph') {
    const image = await daemon.inspect(textOfName(pulled), signal);
    for (const name of image?.digests ?? []) ours.add(canonicalOf(name) ?? name);
  }
  for (const name of ours) {
    // Only what is there: Podman 4.3 takes a digest that it does not know by this name for that of any other image.
    if (!before.has(name) && (await listNames(names)).has(name)) await daemon.untag(name, signal);
  }
}
