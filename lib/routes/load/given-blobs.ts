import type { DockerDaemon } from '../../engine/docker/docker-daemon.js';
import type { ImageTree } from '../../failover/manifest/image-tree.js';
import { type BoundedMap, createBoundedMap } from '../../policy/bounded-map.js';
import type { Digest } from '../../vocabulary/digest.js';

/** What an engine with a containerd store was given with one image. */
interface Given {
  readonly layers: readonly Digest[];
  readonly diffIds: readonly Digest[];
}

/** Images remembered per engine; of one that is forgotten the layers are sent once more. */
const rememberedImages = 1_000;

const givenTo: WeakMap<DockerDaemon, BoundedMap<string, Given>> = new WeakMap();

/**
 * Remembers that an engine has this image with all its layers. A containerd store keeps layers as they came, and does
 * not tell which; only whoever brought them knows.
 *
 * @param imageId the engine's identifier of it
 * @param diffIds as the image's config names them
 */
export function rememberGiven(
  daemon: DockerDaemon,
  imageId: string,
  tree: ImageTree,
  diffIds: readonly Digest[],
): void {
  const known = givenTo.get(daemon) ?? createBoundedMap<string, Given>(rememberedImages);
  givenTo.set(daemon, known);
  known.set(imageId, { layers: tree.layers.map(({ digest }) => digest), diffIds });
}

/** Which of these layers an engine has as part of an image that it was given and still has. */
export async function findGiven(
  daemon: DockerDaemon,
  layers: ReadonlySet<Digest>,
  signal: AbortSignal,
): Promise<ReadonlySet<Digest>> {
  const known = givenTo.get(daemon);
  const found = new Set<Digest>();
  if (known === undefined || layers.size === 0) return found;
  for (const { id } of await daemon.list(signal)) {
    const given = known.get(id);
    const wanted = given?.layers.filter((layer) => layers.has(layer) && !found.has(layer)) ?? [];
    if (given === undefined || wanted.length === 0) continue;
    // Under an index's digest there may be another platform's image by now.
    const image = await daemon.inspect(id, signal);
    if (image === null || image.diffIds.join() !== given.diffIds.join()) continue;
    for (const layer of wanted) found.add(layer);
  }
  return found;
}
