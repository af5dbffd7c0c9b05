import type { Descriptor } from '../image/descriptor.js';
import type { Digest } from '../vocabulary/digest.js';
import type { BlobSink } from './blob-sink.js';

/** Where images go: one OCI image layout on disk, or one Docker or Podman daemon. Ends with `close()`. */
export interface Engine {
  /** What events and reports call it; two engines of one puller have different ones. */
  readonly id: string;
  readonly kind: 'oci-layout' | 'docker';
  /** Where it is: a directory, or the address of a daemon, without credentials. Two objects with one address are one place. */
  readonly address: string;
  /** Ends what is open, keeps what was written, and waits until nothing is under way. Idempotent. */
  close(): Promise<void>;
}

/** The blob that a sink is wanted for. */
export type WantedBlob = Pick<Descriptor, 'digest' | 'size' | 'mediaType'>;

/** Who wants it. */
export interface BlobContext {
  readonly signal: AbortSignal;
  readonly pullId: string;
}

/** Where blobs go one by one: what the heart knows of an engine. */
export interface BlobStore {
  /** Whether the blob is there in its full size; its content was verified before it got its name. */
  hasBlob(blob: Pick<Descriptor, 'digest' | 'size'>): Promise<boolean>;
  /**
   * Opens a place for one blob, with bytes an earlier writer left and nobody else is going on from. Null when the blob
   * is there. Never waits for another writer of the same blob, who may be slower or fail: the first to commit wins.
   */
  openBlob(blob: WantedBlob, context: BlobContext): Promise<BlobSink | null>;
  /**
   * The bytes of a blob that is there, from offset `from`, in chunks of at most 1 MiB, not verified.
   *
   * @throws EngineError when it is not there
   */
  streamBlob(digest: Digest, from: number): AsyncIterable<Uint8Array>;
}
