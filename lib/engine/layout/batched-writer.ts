import type { FileHandle } from 'node:fs/promises';

/**
 * Appends chunks to a file in as few system calls as the arrival allows: while one write is under way the next
 * chunks gather, and a chunk that comes alone is on its way to the disk before the loop turns again.
 */
export interface BatchedWriter {
  /** Bytes accepted so far, where the next chunk goes. */
  readonly end: number;
  /** Resolves when the next chunk may come. @throws what the disk said, also about an earlier chunk */
  write(chunk: Uint8Array): Promise<void>;
  /** Resolves when every byte accepted has been given to the operating system. */
  drain(): Promise<void>;
  /** Empties the file and begins at 0. */
  restart(): Promise<void>;
}

/**
 * Large enough that a system call costs little beside its bytes. Two of them are the memory of one open blob, and there
 * are many open at once: with 1 MiB each, 20 pulls grew the process beyond 100 MiB.
 */
const batchBytes = 512 * 1024;

/** Linux takes at most 1024 buffers in one call, and libuv does not recover from a short write beyond it. */
const batchChunks = 1000;

/** What it needs of an open file. */
export type WritableHandle = Pick<FileHandle, 'writev' | 'truncate'>;

/** @param withRoom runs one write, and may run it again after it has made room on a full disk */
export function createBatchedWriter(
  handle: WritableHandle,
  start: number,
  withRoom: (write: () => Promise<void>) => Promise<void>,
): BatchedWriter {
  let chunks: Uint8Array[] = [];
  let bytes = 0;
  let end = start;
  let handedOver = start;
  let underWay: Promise<void> | null = null;
  let scheduled: NodeJS.Immediate | null = null;
  let failure: { readonly error: unknown } | null = null;

  /** Hands over what has gathered, unless a batch is under way: its end does it. */
  function handOver(): void {
    if (scheduled !== null) clearImmediate(scheduled);
    scheduled = null;
    if (underWay !== null || chunks.length === 0 || failure !== null) return;
    const batch = chunks;
    const position = handedOver;
    handedOver += bytes;
    chunks = [];
    bytes = 0;
    underWay = withRoom(() => writeBatch(handle, batch, position)).then(ended, (error: unknown) => {
      failure = { error };
      ended();
    });
  }

  function ended(): void {
    underWay = null;
    handOver();
  }

  function throwFailure(): void {
    if (failure !== null) throw failure.error;
  }

  async function drain(): Promise<void> {
    handOver();
    while (underWay !== null) await underWay;
    throwFailure();
  }

  return {
    get end() {
      return end;
    },
    write: async (chunk) => {
      throwFailure();
      if (chunk.length === 0) return;
      chunks.push(chunk);
      bytes += chunk.length;
      end += chunk.length;
      if (bytes < batchBytes && chunks.length < batchChunks) {
        if (underWay === null) scheduled ??= setImmediate(handOver);
        return;
      }
      // One full batch gathers while one is under way, and no more: a slow disk slows the sender.
      if (underWay === null) handOver();
      else await underWay;
      throwFailure();
    },
    drain,
    restart: async () => {
      await drain();
      await handle.truncate(0);
      end = 0;
      handedOver = 0;
    },
  };
}

async function writeBatch(handle: WritableHandle, batch: readonly Uint8Array[], from: number): Promise<void> {
  let rest = batch;
  let position = from;
  while (rest.length > 0) {
    const { bytesWritten } = await handle.writev(rest, position);
    position += bytesWritten;
    rest = after(rest, bytesWritten);
  }
}

/** What is left of the chunks after their first `count` bytes: a nearly full disk takes less than it is given. */
function after(chunks: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let skip = count;
  for (const [at, chunk] of chunks.entries()) {
    if (skip < chunk.length) return [chunk.subarray(skip), ...chunks.slice(at + 1)];
    skip -= chunk.length;
  }
  return [];
}
