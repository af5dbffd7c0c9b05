import type { HeartContext } from '../../failover/context.js';
import type { ImageTree } from '../../failover/manifest/image-tree.js';
import type { Descriptor } from '../../image/descriptor.js';
import type { Platform } from '../../image/platform.js';
import type { Reference } from '../../image/reference.js';
import type { PlaceWithCredentials } from '../../registries/override-credentials.js';
import type { Digest } from '../../vocabulary/digest.js';
import type { Comeback } from '../comeback.js';
import type { DirectLimits } from './direct-limits.js';
import type { Delivered, Delivery, RouteChange } from '../route.js';

/** An image that an engine is to pull by itself. */
export interface DirectRequest {
  readonly context: HeartContext;
  readonly comeback: Comeback;
  readonly reference: Reference;
  readonly platform: Platform;
  /** Where to pull from, in the host's order; each is a candidate of the context. */
  readonly places: readonly PlaceWithCredentials[];
  /** What the name is known to mean; null: the registries that may resolve it are asked for the tag. */
  readonly digest: Digest | null;
  /** What the image consists of, where this process has found out; null where it reaches no registry. */
  readonly tree: ImageTree | null;
  readonly limits: DirectLimits;
  /**
   * Fetches what an archive is made of, for an engine whose own pulls cannot go on; null where this process reaches no
   * registry. It may reject as `resolveImage` does.
   */
  readonly escape: (() => Promise<Delivery>) | null;
  /** Called once for each blob of `tree` when the engine has it. */
  readonly onBlob: (blob: Descriptor) => void;
  /** Called when the engine cannot go on by itself, before an archive is sent to it. */
  readonly onRouteChanged: (change: RouteChange) => void;
}

/** An image that an engine pulled by itself. */
export interface DirectDelivered extends Delivered {
  /** What the engine says that the name it pulled stands for; null where it does not say. */
  readonly digest: Digest | null;
  /** Whose tag it was, by prefix; null when no tag was asked for. */
  readonly resolvedBy: string | null;
}

/**
 * A pull that an engine does by itself, in the steps that are timed apart. After a failover a step may have to be taken
 * anew, which is not told apart. The first call begins the pull.
 */
export interface DirectRun {
  /** Until a registry has given the manifest. */
  metadata(): Promise<void>;
  /** Until the engine has every blob, as far as it tells: Podman does not, there it is the whole pull. */
  layers(): Promise<void>;
  /** Until the engine has the image under its own name. */
  extract(): Promise<DirectDelivered>;
}
