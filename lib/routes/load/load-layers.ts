import type { DockerDaemon } from '../../engine/docker/docker-daemon.js';
import { EngineFailure } from '../../engine/docker/engine-failure.js';
import { parseDigest } from '../../image/digest.js';
import { type BoundedMap, createBoundedMap } from '../../policy/bounded-map.js';
import type { Digest } from '../../vocabulary/digest.js';

/** Images whose layers are remembered per engine; what they consist of never changes. */
const rememberedImages = 1_000;

/** Images that are looked at for one load: each costs a request of a millisecond or two. */
const examinedImages = 500;

const requestsAtOnce = 4;

const layersOfImages: WeakMap<DockerDaemon, BoundedMap<string, readonly Digest[]>> = new WeakMap();

/**
 * How many of these layers, from the bottom, an engine has as layers of some image: an engine knows a layer by what
 * lies below it. Only what is proven counts; an engine that cannot be asked has none.
 *
 * @throws the signal's own reason
 */
export async function countLayersThere(
  daemon: DockerDaemon,
  diffIds: readonly Digest[],
  signal: AbortSignal,
): Promise<number> {
  if (diffIds.length === 0) return 0;
  const known = layersOfImages.get(daemon) ?? createBoundedMap<string, readonly Digest[]>(rememberedImages);
  layersOfImages.set(daemon, known);
  let count = 0;
  try {
    const images = await daemon.list(signal);
    const waiting = [...new Set(images.map(({ id }) => id))].slice(0, examinedImages);
    const workers = Array.from({ length: requestsAtOnce }, async () => {
      for (let id = waiting.shift(); id !== undefined && count < diffIds.length; id = waiting.shift()) {
        const there = commonBottom(diffIds, await layersOf(daemon, id, known, signal));
        count = Math.max(count, there);
      }
    });
    await Promise.all(workers);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof EngineFailure)) throw error;
  }
  return count;
}

async function layersOf(
  daemon: DockerDaemon,
  id: string,
  known: BoundedMap<string, readonly Digest[]>,
  signal: AbortSignal,
): Promise<readonly Digest[]> {
  const remembered = known.get(id);
  if (remembered !== undefined) return remembered;
  const image = await daemon.inspect(id, signal);
  if (image === null) return [];
  known.set(id, image.diffIds);
  return image.diffIds;
}

function commonBottom(one: readonly Digest[], other: readonly Digest[]): number {
  const differs = one.findIndex((digest, index) => digest !== other[index]);
  return differs === -1 ? one.length : differs;
}

/** The digests of an image's unpacked layers, as its config tells them; null where it tells none. */
export function readDiffIds(config: Uint8Array): readonly Digest[] | null {
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(config).toString('utf8'));
  } catch {
    return null;
  }
  const diffIds = fieldOf(fieldOf(document, 'rootfs'), 'diff_ids');
  if (!Array.isArray(diffIds)) return null;
  const digests = diffIds.map((diffId: unknown) => (typeof diffId === 'string' ? parseDigest(diffId) : null));
  return digests.every((digest) => digest !== null) ? digests : null;
}

function fieldOf(document: unknown, key: string): unknown {
  return typeof document === 'object' && document !== null ? (document as Record<string, unknown>)[key] : undefined;
}
