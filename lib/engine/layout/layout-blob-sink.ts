import { mkdir, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { EngineError } from '../../errors/engine-error.js';
import { createBatchedWriter } from './batched-writer.js';
import type { BlobSink } from '../blob-sink.js';
import { syncDirectory } from '../../files/durable-file.js';
import { fileErrorCode } from '../../files/file-error.js';
import type { Partial, PartialStore } from './partial-store.js';
import { readChunks } from './read-chunks.js';

/** What a sink needs of the layout it belongs to. */
export interface LayoutBlobSinkOptions {
  readonly engine: string;
  readonly sizeBytes: number;
  /** Where the whole blob goes. */
  readonly target: string;
  readonly partials: PartialStore;
  /** Whether the whole blob is at its place by now, brought by somebody else. */
  readonly isThere: () => Promise<boolean>;
  /** Called when the blob is at its place. */
  readonly onCommitted: () => void;
  /** Called when the sink was given up: with the bytes kept, or with what went wrong. */
  readonly onReleased: (outcome: { readonly kept: number; readonly error?: string }) => void;
  /** Called once, when the sink is finished either way. */
  readonly onFinished: () => void;
}

/** A sink that can say whose partial it writes, for the layout's heartbeat. */
export interface LayoutBlobSink extends BlobSink {
  readonly partial: Partial;
}

export function createLayoutBlobSink(partial: Partial, options: LayoutBlobSinkOptions): LayoutBlobSink {
  const { engine, partials, sizeBytes, target } = options;
  const { handle, digest } = partial;
  const writer = createBatchedWriter(handle, partial.kept, (write) => partials.withRoom(sizeBytes, write));
  let kept = partial.kept;
  let state: 'open' | 'committing' | 'finished' = 'open';
  /** After a failed write or sync the kernel may have dropped pages: what the file holds is anybody's guess. */
  let doubtful = false;
  let committing: Promise<void> | null = null;
  let releasing: Promise<void> | null = null;

  async function onDisk<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      doubtful = true;
      throw error;
    }
  }

  function assertOpen(): void {
    if (state !== 'open') throw new EngineError(engine, `the sink of ${digest} is finished`);
  }

  async function publish(): Promise<void> {
    await writer.drain();
    if (writer.end !== sizeBytes) {
      throw new EngineError(engine, `${digest} has ${sizeBytes} bytes, but ${writer.end} were written`);
    }
    if (await options.isThere()) {
      await partials.discard(partial);
      return;
    }
    await handle.datasync();
    await mkdir(dirname(target), { recursive: true });
    try {
      await rename(partial.path, target);
      await handle.close();
    } catch (error) {
      if (fileErrorCode(error) !== 'ENOENT') throw error;
      await publishCopy();
    }
    await syncDirectory(dirname(target));
  }

  /** This process slept so long that another one, which could not see it, took the file away: it is still open here. */
  async function publishCopy(): Promise<void> {
    const copy = await partials.create(digest);
    try {
      for await (const chunk of readOwn(sizeBytes)) await copy.handle.writeFile(chunk);
      await copy.handle.datasync();
      await rename(copy.path, target);
      await copy.handle.close();
    } catch (error) {
      await partials.discard(copy).catch(() => {});
      throw error;
    }
    await handle.close();
  }

  /** Whoever cut the file short must not make it a shorter blob. */
  async function* readOwn(end: number): AsyncGenerator<Uint8Array> {
    let bytes = 0;
    for await (const chunk of readChunks(handle, 0, end)) {
      bytes += chunk.length;
      yield chunk;
    }
    if (bytes < end) throw new EngineError(engine, `the partial blob ${partial.path} was cut short by somebody else`);
  }

  async function letGo(): Promise<void> {
    await committing?.catch(() => {});
    if (state === 'finished') return;
    state = 'finished';
    try {
      await writer.drain().catch(() => {
        doubtful = true;
      });
      // Room is what a full disk lacks, so a doubtful partial is not worth its bytes.
      await (doubtful ? partials.discard(partial) : partials.keep(partial));
      options.onReleased({ kept: doubtful ? 0 : writer.end });
    } catch (error) {
      // The failure that led here is the one to throw; what stays behind is taken over once this process has ended.
      options.onReleased({ kept: 0, error: fileErrorCode(error) ?? String(error) });
      await handle.close().catch(() => {});
    } finally {
      options.onFinished();
    }
  }

  return {
    partial,
    get kept() {
      return kept;
    },
    readKept: () => {
      assertOpen();
      return readOwn(kept);
    },
    write: async (chunk) => {
      assertOpen();
      if (writer.end + chunk.length > sizeBytes) {
        throw new EngineError(engine, `more than the ${sizeBytes} bytes of ${digest} were written`);
      }
      await onDisk(() => writer.write(chunk));
    },
    restart: async () => {
      assertOpen();
      kept = 0;
      await onDisk(() => writer.restart());
    },
    commit: async () => {
      assertOpen();
      state = 'committing';
      committing = publish();
      try {
        await committing;
      } catch (error) {
        state = 'open';
        doubtful ||= !(error instanceof EngineError);
        throw error;
      }
      state = 'finished';
      options.onCommitted();
      // What others left of it is of no use any more; the sweep would find it, too.
      await partials.forget(digest).catch(() => {});
      options.onFinished();
    },
    release: () => (releasing ??= letGo()),
  };
}
