/**
 * Where the bytes of one blob go, in order, until they are all there and known to be right.
 * It belongs to one writer; every call is awaited before the next one.
 * Errors of the disk reach the caller as Node throws them, with their `code`.
 */
export interface BlobSink {
  /** Bytes an earlier, interrupted writer left, which count as written; 0 after `restart()`. They are not verified. */
  readonly kept: number;
  /** The bytes that were kept, from the first one, in chunks of at most 1 MiB. */
  readKept(): AsyncIterable<Uint8Array>;
  /** Appends. Resolves when the next chunk may come, which is when the disk keeps up; the chunk must not be changed afterwards. */
  write(chunk: Uint8Array): Promise<void>;
  /** Forgets every byte, the kept ones too. */
  restart(): Promise<void>;
  /** Makes the blob visible, whole and durable; the sink is finished. The caller has verified the digest of every byte. */
  commit(): Promise<void>;
  /** Stops here and keeps what was written for a later resume. Never rejects; idempotent; does nothing after `commit()`. */
  release(): Promise<void>;
}
