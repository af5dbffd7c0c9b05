import type { BlobSink } from '../../engine/blob-sink.js';
import { Assembly, type WantedBlob } from './assembly.js';
import type { HeartContext } from '../context.js';
import { SinkError, sinkFailure } from '../failure.js';
import { RegistryWalk } from './registry-walk.js';

/**
 * Brings one blob into a sink, right to the last byte, although registries fail under it: when one stalls, resets,
 * truncates, is too slow or answers wrongly at byte n, the next one goes on at byte n. Wrong bytes are traced to the
 * registry that sent them, and the blob starts again without it. When all have failed, they are walked again with
 * backoff, until three rounds in a row brought nothing new.
 *
 * Memory: one chunk, and what the connection buffers. Nothing is read while the sink is busy.
 *
 * @throws PullExhaustedError, HostFaultError, what the sink threw where that is no fault of this host, or the signal's
 *   own reason
 */
export async function fetchBlob(context: HeartContext, blob: WantedBlob, sink: BlobSink): Promise<void> {
  const assembly = new Assembly(blob, sink);
  await primeBlob(context, assembly);
  await completeBlob(context, assembly);
}

/** Takes over what an earlier pull had kept of a blob; throws as `fetchBlob` does. */
export async function primeBlob(context: HeartContext, assembly: Assembly): Promise<void> {
  try {
    const kept = await assembly.prime(context.signal);
    if (kept > 0) context.observer.bytesKept(assembly.digest, kept);
  } catch (error) {
    throw error instanceof SinkError ? sinkFailure(error, assembly.digest) : error;
  }
}

/** Brings what an assembly lacks; see `fetchBlob`. */
export async function completeBlob(context: HeartContext, assembly: Assembly): Promise<void> {
  try {
    await new RegistryWalk(context, assembly).run();
  } catch (error) {
    throw error instanceof SinkError ? sinkFailure(error, assembly.digest) : error;
  }
}
