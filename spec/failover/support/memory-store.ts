import type { BlobSink } from '../../../lib/engine/blob-sink.js';
import type { BlobContext, BlobStore, WantedBlob } from '../../../lib/engine/engine.js';
import type { Digest } from '../../../lib/vocabulary/digest.js';
import { memorySink, type MemorySinkOptions } from './memory-sink.js';

/** A store that keeps blobs in memory, and lets one writer at a time near each of them. */
export interface MemoryStore extends BlobStore {
  readonly blobs: ReadonlyMap<Digest, Buffer>;
  /** What interrupted writers left. */
  readonly partials: ReadonlyMap<Digest, Buffer>;
  /** Sinks that are open now. */
  readonly openSinks: number;
  /** Sinks that were ever opened. */
  readonly opened: number;
}

export function memoryStore(options: MemorySinkOptions = {}): MemoryStore {
  const blobs = new Map<Digest, Buffer>();
  const partials = new Map<Digest, Buffer>();
  const turns = new Map<Digest, Promise<void>>();
  let openSinks = 0;
  let opened = 0;

  async function takeTurn(digest: Digest, signal: AbortSignal): Promise<() => void> {
    const before = turns.get(digest) ?? Promise.resolve();
    let giveBack: () => void = () => {};
    const mine = new Promise<void>((resolve) => {
      giveBack = resolve;
    });
    turns.set(
      digest,
      before.then(() => mine),
    );
    await before;
    if (signal.aborted) {
      giveBack();
      throw signal.reason;
    }
    return giveBack;
  }

  function sinkOf({ digest }: WantedBlob, giveBack: () => void): BlobSink {
    const kept = partials.get(digest);
    const sink = memorySink({ ...options, ...(kept === undefined ? {} : { kept }) });
    let isFinished = false;
    const finish = (): void => {
      if (isFinished) return;
      isFinished = true;
      openSinks -= 1;
      giveBack();
    };
    openSinks += 1;
    opened += 1;
    return {
      get kept() {
        return sink.kept;
      },
      readKept: sink.readKept,
      write: sink.write,
      restart: sink.restart,
      commit: async () => {
        await sink.commit();
        blobs.set(digest, sink.content);
        partials.delete(digest);
        finish();
      },
      release: async () => {
        if (!isFinished && !sink.isCommitted) partials.set(digest, sink.content);
        finish();
      },
    };
  }

  return {
    blobs,
    partials,
    get openSinks() {
      return openSinks;
    },
    get opened() {
      return opened;
    },
    hasBlob: async ({ digest }) => blobs.has(digest),
    openBlob: async (wanted, { signal }: BlobContext) => {
      signal.throwIfAborted();
      const giveBack = await takeTurn(wanted.digest, signal);
      if (!blobs.has(wanted.digest)) return sinkOf(wanted, giveBack);
      giveBack();
      return null;
    },
    streamBlob: async function* (digest, from) {
      const blob = blobs.get(digest);
      if (blob === undefined) throw new Error(`${digest} is not there`);
      yield blob.subarray(from);
    },
  };
}
