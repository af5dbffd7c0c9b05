import type { DaemonUser } from '../engine/docker/docker-daemon.js';
import type { HeartContext } from '../failover/context.js';
import type { ImageTree } from '../failover/manifest/image-tree.js';
import type { SharedFetches } from '../failover/shared/shared-fetch.js';
import type { Digest } from '../vocabulary/digest.js';

/** Where a relay listens, and by which address the daemon reaches it. */
export interface RelayOptions {
  /** Of this process; default `127.0.0.1` and a free port. */
  readonly listen: { readonly host: string; readonly port: number };
  /** `host:port` as the daemon sees it; null: the address it listens on. */
  readonly advertise: string | null;
}

/** One image that a daemon is about to pull. */
export interface ServedImage {
  /** The path of the repository under which it is served, below the relay's address: see `relayName`. */
  readonly repository: string;
  readonly tag: string;
  readonly context: HeartContext;
  readonly tree: ImageTree;
  readonly shared: SharedFetches;
  readonly shareKey: string;
  /** Every byte of this blob was given to the daemon, and they were right. Once per blob. */
  readonly onBlob: (digest: Digest) => void;
}

/** What the daemon has asked for so far, of one image. */
export interface RelayActivity {
  /** It has asked for a document or a blob of this image at least once. */
  readonly begun: boolean;
  /** Answers under way. */
  readonly open: number;
  /** Blobs it was given whole. */
  readonly delivered: ReadonlySet<Digest>;
  /** Blobs it was given wrong bytes of, whose answer was completed so that the daemon itself refuses them. */
  readonly spoiled: ReadonlySet<Digest>;
  /** Documents and blobs beside the image itself (attestations) that it asked for and nobody has. */
  readonly missing: ReadonlySet<Digest>;
  /** On the clock of `loopMs`: when it last asked for something or took bytes. */
  readonly lastAtMs: number;
  /** On the same clock: since when it has taken nothing although bytes wait for it; null while none do. */
  readonly unreadSinceMs: number | null;
}

/** An image being served; nothing of it is served any more after `stop`. */
export interface Serving {
  readonly activity: RelayActivity;
  /** Resolves with the heart's error when a blob cannot be had from anyone; never rejects. */
  readonly failed: Promise<unknown>;
  /**
   * Ends every answer under way. Those that hold wrong bytes are completed first, for a containerd store would keep
   * them: bytes handed to a daemon cannot be taken back. Idempotent.
   */
  stop(): Promise<void>;
}

/** An OCI registry on loopback that serves the pulls in progress, to the daemon that was told its secret. */
export interface Relay extends AsyncDisposable {
  /** `host:port` as the daemon sees it. */
  readonly address: string;
  /** What the daemon has to show. */
  readonly credentials: DaemonUser;
  serve(image: ServedImage): Serving;
  /** Resolves true when a request that carries this word arrives, in the name of the client or in the path; false after `withinMs`. */
  heardOf(word: string, withinMs: number, signal: AbortSignal): Promise<boolean>;
  /** Ends the server and every answer. Idempotent. */
  close(): Promise<void>;
}
