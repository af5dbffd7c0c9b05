import type { Platform } from '../../image/platform.js';
import type { Digest } from '../../vocabulary/digest.js';

/** An image as a daemon tells of it. */
export interface EngineImage {
  /** The engine's own identifier: the config's digest on a classic store, the manifest's or index's on a containerd store. */
  readonly id: string;
  /** `name:tag`, as the engine spells them: Docker Hub's without a host; `name@digest` too, where it was pulled by digest. */
  readonly tags: readonly string[];
  /** `name@digest`. */
  readonly digests: readonly string[];
  readonly platform: Platform;
  readonly sizeBytes: number;
  /** Digests of the unpacked layers, from the bottom. */
  readonly diffIds: readonly Digest[];
  /** When it got its last tag, in milliseconds since the epoch; null where the engine does not say. */
  readonly taggedAtMs: number | null;
}

/** An image in a daemon's list. */
export interface ListedImage {
  readonly id: string;
  readonly tags: readonly string[];
  readonly digests: readonly string[];
}
