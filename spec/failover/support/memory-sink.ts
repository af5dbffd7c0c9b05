import type { BlobSink } from '../../../lib/engine/blob-sink.js';

/** What a sink was told, in the order it was told. */
export type SinkCall =
  { readonly call: 'write'; readonly bytes: number } | { readonly call: 'restart' | 'commit' | 'release' };

/** What a memory sink does beside keeping bytes. */
export interface MemorySinkOptions {
  /** Bytes an earlier pull left. */
  readonly kept?: Uint8Array;
  /** Runs before each write takes effect; what it throws is the disk's failure. */
  readonly onWrite?: (offset: number, bytes: number) => void | Promise<void>;
  readonly onRestart?: () => void | Promise<void>;
  readonly onCommit?: () => void | Promise<void>;
}

/** A sink that keeps everything, and remembers what it was told. */
export interface MemorySink extends BlobSink {
  readonly calls: readonly SinkCall[];
  readonly content: Buffer;
  readonly isCommitted: boolean;
}

export function memorySink(options: MemorySinkOptions = {}): MemorySink {
  const calls: SinkCall[] = [];
  let parts: Uint8Array[] = options.kept === undefined ? [] : [options.kept];
  let offset = options.kept?.length ?? 0;
  let kept = offset;
  let isCommitted = false;
  const assertOpen = (): void => {
    if (isCommitted) throw new Error('the sink is finished');
  };
  return {
    calls,
    get content() {
      return Buffer.concat(parts);
    },
    get isCommitted() {
      return isCommitted;
    },
    get kept() {
      return kept;
    },
    // In several chunks, as a file is read.
    readKept: async function* () {
      const all = Buffer.concat(parts).subarray(0, kept);
      for (let at = 0; at < all.length; at += 10_000) yield all.subarray(at, at + 10_000);
    },
    write: async (chunk) => {
      assertOpen();
      await options.onWrite?.(offset, chunk.length);
      calls.push({ call: 'write', bytes: chunk.length });
      parts.push(Uint8Array.from(chunk));
      offset += chunk.length;
    },
    restart: async () => {
      assertOpen();
      await options.onRestart?.();
      calls.push({ call: 'restart' });
      parts = [];
      offset = 0;
      kept = 0;
    },
    commit: async () => {
      assertOpen();
      await options.onCommit?.();
      calls.push({ call: 'commit' });
      isCommitted = true;
    },
    release: async () => {
      if (!isCommitted) calls.push({ call: 'release' });
    },
  };
}
