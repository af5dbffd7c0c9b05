import type { HeartContext } from '../failover/context.js';
import type { ImageTree } from '../failover/manifest/image-tree.js';
import type { SharedFetches } from '../failover/shared/shared-fetch.js';
import type { Descriptor } from '../image/descriptor.js';
import type { Platform } from '../image/platform.js';
import type { Reference } from '../image/reference.js';
import type { Reason } from '../vocabulary/reason.js';
import type { Route } from '../vocabulary/route.js';
import type { Comeback } from './comeback.js';

/** An image on its way into an engine. */
export interface Delivery {
  readonly context: HeartContext;
  readonly comeback: Comeback;
  readonly reference: Reference;
  readonly platform: Platform;
  readonly tree: ImageTree;
  readonly shared: SharedFetches;
  /** What fetches of one blob must have in common to be shared. */
  readonly shareKey: string;
  /** Called once for each blob when the engine has it, whoever brought it. */
  readonly onBlob: (blob: Descriptor) => void;
  /** Called when the route that was chosen cannot go on, before the next one begins. */
  readonly onRouteChanged: (change: RouteChange) => void;
}

/** Why bytes reach the engine in another way than was planned. */
export interface RouteChange {
  readonly from: Route;
  readonly to: Route;
  readonly reason: Reason;
}

/** An image that an engine has under its canonical name. */
export interface Delivered {
  /** The engine's own identifier of the image. */
  readonly imageId: string;
  /** What to create a container from. */
  readonly reference: string;
  /** The route that brought it at last. */
  readonly route: Route;
}

/**
 * One delivery under way, in two steps, for they are timed and judged apart. Whichever rejects has first ended what it
 * had begun: nothing of the delivery is left in the engine, and no request is open.
 */
export interface RouteRun {
  /** Until every blob that the engine lacks has been handed to it. */
  layers(): Promise<void>;
  /** Then, until the engine has the image under its name. */
  extract(): Promise<Delivered>;
}
