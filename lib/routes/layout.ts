import type { BlobStore } from '../engine/engine.js';
import type { OciLayout } from '../engine/layout/oci-layout.js';
import { HostFaultError } from '../errors/host-fault-error.js';
import type { ImageTree } from '../failover/manifest/image-tree.js';
import { judge } from '../health/verdict.js';
import type { Descriptor } from '../image/descriptor.js';
import { deriveAbort, withDeadline } from '../policy/deadline.js';
import { embeddedBytes } from '../failover/blob/embedded-blob.js';
import type { Delivery, RouteRun } from './route.js';

/**
 * Blobs fetched at a time for one pull: enough to fill a link of a few connections' worth, and a registry that dies
 * is noticed by few of them at once.
 */
const blobsAtOnce = 4;

/**
 * Brings an image into a layout. Nothing names its blobs before all are there: a pull that ends early has changed no
 * image.
 *
 * @throws from `layers`: PullExhaustedError, HostFaultError, or the signal's own reason; from `extract`: HostFaultError
 *   when the layout makes no progress
 */
export function startLayoutRoute(layout: OciLayout, delivery: Delivery): RouteRun {
  const { tree, reference, context } = delivery;
  const { stallMs } = context.limits.extract;
  return {
    layers: () => deliverBlobs({ ...delivery, layout }),
    extract: async () => {
      await nameImage({ layout, name: reference.canonical, tree, stallMs });
      return { imageId: tree.config.digest, reference: reference.canonical, route: 'layout' };
    },
  };
}

interface LayoutDelivery extends Delivery {
  readonly layout: OciLayout;
}

async function deliverBlobs(delivery: LayoutDelivery): Promise<void> {
  const { context, tree, layout } = delivery;
  const blobs = [...new Map([tree.config, ...tree.layers].map((blob) => [blob.digest, blob])).values()];
  const areThere = await Promise.all(blobs.map((blob) => layout.hasBlob(blob)));
  for (const [index, blob] of blobs.entries()) if (areThere[index] === true) delivery.onBlob(blob);
  const waiting = blobs.filter((_, index) => areThere[index] !== true);
  if (waiting.length === 0) return;
  using work = deriveAbort(context.signal);
  const own = { ...delivery, context: { ...context, signal: work.signal } };
  const workers = Array.from({ length: Math.min(blobsAtOnce, waiting.length) }, async () => {
    for (let blob = waiting.shift(); blob !== undefined; blob = waiting.shift()) {
      await deliverBlob(own, blob);
      delivery.onBlob(blob);
    }
  });
  try {
    await Promise.all(workers);
  } catch (error) {
    // One blob that cannot be had ends the others: they keep what they have for the next pull.
    work.abort(error);
    await Promise.allSettled(workers);
    throw error;
  }
}

async function deliverBlob({ context, layout, shared, shareKey }: LayoutDelivery, blob: Descriptor): Promise<void> {
  context.signal.throwIfAborted();
  const store: BlobStore = layout;
  const embedded = embeddedBytes(context.image, blob);
  if (embedded !== null) await layout.putBlob(embedded, blob.digest);
  else await shared.fetch(context, { blob, key: shareKey, store });
}

/** An image whose blobs are all in a layout. */
interface LayoutNaming {
  readonly layout: OciLayout;
  /** The canonical name. */
  readonly name: string;
  readonly tree: ImageTree;
  /** How long its documents and the name may take, in milliseconds (`extract.stallMs`). */
  readonly stallMs: number;
}

/** Makes the image visible under its name. A network disk that died answers nothing, for ever: that is a host fault. */
async function nameImage({ layout, name, tree, stallMs }: LayoutNaming): Promise<void> {
  const expired = (): HostFaultError => extractLate(name, stallMs);
  await withDeadline({ ms: stallMs, expired }, async (signal) => {
    for (const { bytes, digest } of tree.documents.toReversed()) {
      await layout.putBlob(bytes, digest);
      signal.throwIfAborted();
    }
    const { digest, mediaType, bytes } = tree.root;
    await layout.nameImage(name, { digest, mediaType, size: bytes.length });
  });
}

function extractLate(image: string, stallMs: number): HostFaultError {
  const evidence = { kind: 'limit', limit: 'extract.stallMs', value: stallMs, bytes: 0 } as const;
  return new HostFaultError(judge({ evidence, phase: 'extract' }, { registry: '', object: image }).reason);
}
