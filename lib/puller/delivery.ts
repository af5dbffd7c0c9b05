import type { ImageTree } from '../failover/manifest/image-tree.js';
import type { Delivery } from '../routes/route.js';
import type { AttemptFrame } from './attempt-frame.js';
import { shareKeyOf } from './heart-context.js';

/** What a route is given to bring an image. */
export function deliveryOf(
  { parts, request, context, onBlob, onRouteChanged }: AttemptFrame,
  tree: ImageTree,
): Delivery {
  const { reference, platform, comeback } = request.job;
  return {
    context,
    comeback,
    reference,
    platform,
    tree,
    shared: parts.shared,
    shareKey: shareKeyOf(request),
    onBlob,
    onRouteChanged,
  };
}
