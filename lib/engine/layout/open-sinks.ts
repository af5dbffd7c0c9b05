import { monotonicMs } from '../../clock/time.js';
import { createLog } from '../../log/log.js';
import type { BlobSink } from '../blob-sink.js';
import type { WantedBlob } from '../engine.js';
import { createLayoutBlobSink, type LayoutBlobSink } from './layout-blob-sink.js';
import type { LayoutBlobs } from './layout-blobs.js';
import { touchEveryMs, type PartialStore } from './partial-store.js';

/** The sinks of one layout that are being written to. */
export interface OpenSinks {
  /** Opens a sink of its own for whoever asks: with the bytes that nobody else is going on from. */
  open(wanted: WantedBlob, pullId: string): Promise<BlobSink>;
  /** Lets all of them go, and waits until nothing is under way. */
  close(): Promise<void>;
}

/** The limits are enforced when a sink lets go; in between, only what other processes left can exceed them. */
const sweepEveryMs = 60_000;

const log = createLog('layout');

export function createOpenSinks(engine: string, blobs: LayoutBlobs, partials: PartialStore): OpenSinks {
  const sinks = new Set<LayoutBlobSink>();
  let heartbeat: NodeJS.Timeout | null = null;
  let sweptAtMs = -Infinity;
  let sweeping: Promise<void> | null = null;

  function beat(): void {
    for (const sink of sinks) partials.touch(sink.partial).catch(() => {});
  }

  /** Not on every blob: hundreds are opened at once. */
  function sweepNowAndThen(): void {
    if (monotonicMs() - sweptAtMs < sweepEveryMs) return;
    sweptAtMs = monotonicMs();
    sweeping = partials.sweep().catch((error: unknown) => {
      log(null, 'partial blobs could not be swept', { engine, error: String(error) });
    });
  }

  return {
    open: async (wanted, pullId) => {
      const { digest, size } = wanted;
      const partial = await partials.claim(digest, size);
      const sink = createLayoutBlobSink(partial, {
        engine,
        sizeBytes: size,
        target: blobs.pathOf(digest),
        partials,
        isThere: () => blobs.has(wanted),
        onCommitted: () => {
          blobs.stored(digest);
          log(pullId, 'blob stored', { digest, size });
        },
        onReleased: (outcome) => {
          log(pullId, 'blob let go', { digest, ...outcome });
        },
        onFinished: () => {
          sinks.delete(sink);
          // Only while something is being written is there anything to tell.
          if (sinks.size === 0 && heartbeat !== null) {
            clearInterval(heartbeat);
            heartbeat = null;
          }
        },
      });
      sinks.add(sink);
      log(pullId, 'blob opened', { digest, kept: partial.kept });
      heartbeat ??= setInterval(beat, touchEveryMs).unref();
      sweepNowAndThen();
      return sink;
    },
    close: async () => {
      await Promise.all([...sinks].map((sink) => sink.release()));
      await sweeping;
    },
  };
}
