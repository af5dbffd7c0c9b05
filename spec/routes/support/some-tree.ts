import type { EngineProgress } from '../../../lib/engine/docker/engine-progress.js';
import type { ImageTree } from '../../../lib/failover/manifest/image-tree.js';
import type { Descriptor } from '../../../lib/image/descriptor.js';
import { digestHex, digestOf } from '../../../lib/image/digest.js';
import type { Digest } from '../../../lib/vocabulary/digest.js';

/** An image with as many layers; nobody has its bytes. */
export function treeWith(layers: number, seed = 'tree'): ImageTree {
  const blob = (name: string): Descriptor => ({
    mediaType: 'application/octet-stream',
    digest: digestOf(Buffer.from(`${seed} ${name}`)),
    size: 10,
  });
  const manifest = {
    digest: blob('manifest').digest,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    bytes: new Uint8Array(),
  };
  return {
    root: manifest,
    documents: [manifest],
    manifest,
    config: blob('config'),
    layers: Array.from({ length: layers }, (_, index) => blob(`layer ${index}`)),
  };
}

/** The digest of one of its layers. */
export function layerOf(tree: ImageTree, index: number): Digest {
  const layer = tree.layers[index];
  if (layer === undefined) throw new Error(`there is no layer ${index}`);
  return layer.digest;
}

/** A line as an engine writes it; about a layer where a digest is given. */
export function line(status: string, digest: Digest | null = null, current: number | null = null): EngineProgress {
  return {
    status,
    id: digest === null ? null : digestHex(digest).slice(0, 12),
    current,
    total: current === null ? null : 1_000,
    unit: 'bytes',
  };
}
