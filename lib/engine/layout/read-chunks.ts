import type { FileHandle } from 'node:fs/promises';

/** Enough that a system call costs nothing beside its bytes, and little enough to hold for every open blob. */
const chunkBytes = 1 << 20;

/** The bytes of a file from `start` up to `end`, or to where it ends before that, in chunks of at most 1 MiB. */
export async function* readChunks(handle: FileHandle, start: number, end: number): AsyncGenerator<Uint8Array> {
  for (let position = start; position < end;) {
    const wanted = Math.min(chunkBytes, end - position);
    // Not from Node's pool: the reader may hold the chunk, and a pooled one would hold others with it.
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafeSlow(wanted), 0, wanted, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
