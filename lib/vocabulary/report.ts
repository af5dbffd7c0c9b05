import type { Digest } from './digest.js';
import type { Operation } from './operation.js';
import type { Phase } from './phase.js';
import type { Reason, Verdict } from './reason.js';
import type { Route } from './route.js';

/** One try to get one object from one registry, that failed. */
export interface Attempt {
  /** The registry's prefix. */
  readonly registry: string;
  readonly phase: Phase;
  readonly reason: Reason;
  readonly verdict: Verdict;
  /** The digest or tag that was asked for. */
  readonly object: string;
  /** Milliseconds from the request to the failure. */
  readonly elapsedMs: number;
  /** Body bytes that had arrived and are kept. */
  readonly bytes: number;
  /** Milliseconds since the epoch at which it failed. */
  readonly atMs: number;
}

/** Work of one phase that moved from one registry to another. Once per pull × phase × from → to. */
export interface Failover {
  readonly phase: Phase;
  readonly from: string;
  readonly to: string;
  readonly reason: Reason;
  /** Bytes of the object that need not be fetched again. */
  readonly bytesKept: number;
}

/**
 * How a tag became a digest.
 *
 * - `digest-given`: the image was named by digest
 * - `first-registry`: the first registry allowed to resolve answered
 * - `replica-confirmed`: another one answered, and agrees with the digest remembered
 * - `remembered`: the remembered digest was used
 * - `replica-unverified`: another one answered, and nothing was remembered to compare with
 * - `replica-diverged`: another one answered with other content, and the host allowed it
 */
export type Resolution =
  'digest-given' | 'first-registry' | 'replica-confirmed' | 'remembered' | 'replica-unverified' | 'replica-diverged';

/**
 * What one registry contributed to a pull. What belongs to a fetch that several pulls share counts for each of them,
 * from when it takes part. Where an engine pulls by itself (the route `direct`), nobody sees its connections: 0.
 */
export interface Served {
  /** The registry's prefix. */
  readonly registry: string;
  /** Manifests and blobs of which it sent anything; 0 where it was asked as a hedge and had sent nothing yet. */
  readonly objects: number;
  /** Bytes that arrived from it, waste included. */
  readonly bytes: number;
  /**
   * Of `bytes` those that were of no use and thrown away: another registry had brought the same, or was faster (a hedge
   * and whom it overtook), they were not asked for, or they belonged to a manifest or blob that turned out wrong.
   */
  readonly wastedBytes: number;
  /** The most connections that fetched blobs of this pull from it at the same time. */
  readonly connections: number;
  /**
   * How often it was asked for what another registry was late with, and was the faster of the two (`won`) or not (`lost`:
   * the late one came first after all, or this one failed).
   */
  readonly hedges: { readonly won: number; readonly lost: number };
}

/** Sizes in bytes, of all manifests and blobs of the image. */
export interface PullBytes {
  /** What the image consists of. */
  readonly total: number;
  /** What arrived from registries during this pull, waste included; a fetch that several pulls share counts for each. */
  readonly fetched: number;
  /** What an earlier, interrupted pull had left and this one went on from. */
  readonly kept: number;
  /** What the engine had already. */
  readonly local: number;
}

/** Milliseconds per phase. */
export interface PullTimings {
  readonly metadataMs: number;
  readonly layersMs: number;
  readonly extractMs: number;
  readonly totalMs: number;
}

/** What a pull brought, from whom, and what it took. */
export interface PullReport {
  readonly pullId: string;
  /** The canonical name, such as `docker.io/library/redis:latest`. */
  readonly image: string;
  readonly operation: Operation | null;
  /**
   * What the tag resolved to: the digest of the index, or of the manifest where there is no index. Of a cached image whose
   * published digest neither the engine nor `stateDir` remembers, the engine's own identifier.
   */
  readonly digest: Digest;
  /** The digest of the platform's manifest. */
  readonly manifestDigest: Digest;
  /** The engine's own identifier of the image: the config's digest, on Docker's containerd store the manifest's or index's. */
  readonly imageId: string;
  /** What to create a container from. */
  readonly reference: string;
  readonly platform: string;
  readonly source: 'registry' | 'cache';
  readonly resolution: Resolution;
  /** The set's name, or null when the image is pulled from its own registry alone. */
  readonly replicaSet: string | null;
  readonly engine: string;
  /** The one that brought it at last; for a cached image the one it would have taken. */
  readonly route: Route;
  /** Why this route, in words; where another one was planned, why it was left. */
  readonly routeReason: string;
  /** Of a cached image: milliseconds since the engine got it, or since a registry confirmed it; null where neither is known, and for a pulled one. */
  readonly cachedAgeMs: number | null;
  readonly served: readonly Served[];
  readonly failovers: readonly Failover[];
  readonly attempts: readonly Attempt[];
  readonly bytes: PullBytes;
  readonly timings: PullTimings;
}
