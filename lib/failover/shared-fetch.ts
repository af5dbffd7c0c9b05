import type { BlobSink } from '../engine/blob-sink.js';
import type { BlobStore } from '../engine/engine.js';
import { isPullExhaustedError } from '../errors/pull-exhausted-error.js';
import { abortable, deriveAbort, sleep, type DerivedAbort } from '../policy/deadline.js';
import { Assembly, type Checkpoint, type WantedBlob } from './assembly.js';
import type { HeartContext } from './context.js';
import { SinkError, sinkFailure } from './failure.js';
import { FanOut, maxHoldMs } from './fan-out.js';
import { completeBlob, fetchBlob, primeBlob } from './fetch-blob.js';
import { exhausted } from './limited.js';
import { Outlet } from './outlet.js';

/** A blob wanted for one store. */
export interface SharedBlobRequest {
  readonly blob: WantedBlob & { readonly mediaType: string };
  /** What fetches must have in common to be shared: the plan, the identity of its credentials, the limits. */
  readonly key: string;
  readonly store: BlobStore;
}

/** One fetch under way. */
interface RunningFetch {
  readonly store: BlobStore;
  readonly fanOut: FanOut;
  /** Whose view of the registries it uses: the pull's that started it. */
  readonly context: HeartContext;
  readonly work: DerivedAbort;
  readonly done: Promise<void>;
  /** Nobody can come to wait for it any more. */
  readonly forget: () => void;
  /** Those who wait for the end without getting the bytes as they come. */
  watchers: number;
}

/**
 * Fetches a blob once for all pulls that want it at the same time from the same registries with the same credentials.
 * Each may leave at any time; the fetch ends when the last one has left. One whose disk cannot keep up is let go and
 * continues by itself, from the byte it has reached. One that comes after the beginning is gone waits for the end and
 * copies.
 */
export class SharedFetches {
  readonly #running = new Map<string, RunningFetch>();

  /** Brings the blob into the request's store. Errors are those of `fetchBlob`. */
  async fetch(context: HeartContext, request: SharedBlobRequest): Promise<void> {
    const key = `${request.blob.digest} ${request.key}`;
    let mayWait = true;
    for (;;) {
      const late = this.#running.get(key);
      if (mayWait && late !== undefined && (late.store === request.store || !late.fanOut.canJoin)) {
        if ((await watch(context, request.blob, late)) && (await isThere(context, request, late))) return;
        // It was of no use once: what is missing now is this pull's own to fetch.
        mayWait = false;
      }
      const sink = await request.store.openBlob(request.blob, context);
      if (sink === null) return;
      try {
        const running = this.#running.get(key);
        // Somebody began while the sink was opened: two sinks of one store would write the same bytes twice.
        if (mayWait && running?.store === request.store) continue;
        const outlet = new Outlet(sink);
        if (running === undefined) {
          await attend(context, request.blob, this.#lead(context, request, key, outlet), outlet);
        } else if (running.store !== request.store && running.fanOut.join(outlet)) {
          await attend(context, request.blob, running, outlet);
        } else {
          await fetchBlob(context, request.blob, sink);
        }
        return;
      } finally {
        await sink.release();
      }
    }
  }

  #lead(context: HeartContext, request: SharedBlobRequest, key: string, outlet: Outlet): RunningFetch {
    const work = deriveAbort(context.outliving);
    const fanOut: FanOut = new FanOut(outlet, (slow) => {
      slow.part(assembly.checkpoint());
    });
    const assembly: Assembly = new Assembly(request.blob, fanOut);
    const shared: HeartContext = { ...context, signal: work.signal };
    const forget = (): void => {
      if (this.#running.get(key)?.work === work) this.#running.delete(key);
    };
    const run = async (): Promise<void> => {
      try {
        await primeBlob(shared, assembly);
        await completeBlob(shared, assembly);
      } finally {
        forget();
        work[Symbol.dispose]();
      }
    };
    const running: RunningFetch = { store: request.store, fanOut, context, work, done: run(), forget, watchers: 0 };
    // Everybody may have left by the time it fails.
    running.done.catch(() => {});
    this.#running.set(key, running);
    return running;
  }
}

/** Gets the bytes as they come, until the fetch is over or this waiter has to go on alone. */
async function attend(context: HeartContext, blob: WantedBlob, running: RunningFetch, outlet: Outlet): Promise<void> {
  const silence = echo(context, blob, running);
  let parted: Checkpoint | null;
  try {
    parted = await abortable(Promise.race([running.done.then(() => null), outlet.parted]), context.signal);
  } catch (error) {
    await outlet.close();
    throw ownError(context, blob, error);
  } finally {
    silence();
    running.fanOut.leave(outlet);
    endIfDeserted(running);
  }
  if (parted === null) return;
  await completeBlob(context, new Assembly(blob, afterQueue(outlet), parted));
}

/** Waits for the end of a fetch whose beginning is gone. False when its own waiters hold it, so that waiting may be long. */
async function watch(context: HeartContext, blob: WantedBlob, running: RunningFetch): Promise<boolean> {
  const silence = echo(context, blob, running);
  using pause = deriveAbort(context.signal);
  running.watchers += 1;
  try {
    for (;;) {
      const tick = sleep(maxHoldMs, pause.signal).then(() => 'tick' as const);
      tick.catch(() => {});
      const what = await abortable(Promise.race([running.done.then(() => 'done' as const), tick]), context.signal);
      if (what === 'done') return true;
      if (running.fanOut.heldForMs > maxHoldMs) return false;
    }
  } catch (error) {
    throw ownError(context, blob, error);
  } finally {
    pause.abort(undefined);
    silence();
    running.watchers -= 1;
    endIfDeserted(running);
  }
}

function endIfDeserted(running: RunningFetch): void {
  if (running.watchers === 0 && running.fanOut.outlets.size === 0) {
    running.forget();
    running.work.abort(new Error('nobody waits for this blob any more'));
  }
}

/** After a fetch into another store: copies from there, checked like everything else. */
async function isThere(context: HeartContext, request: SharedBlobRequest, running: RunningFetch): Promise<boolean> {
  if (await request.store.hasBlob(request.blob)) return true;
  if (running.store === request.store) return false;
  const sink = await request.store.openBlob(request.blob, context);
  if (sink === null) return true;
  try {
    const assembly = new Assembly(request.blob, sink);
    await assembly.prime(context.signal);
    for await (const chunk of running.store.streamBlob(request.blob.digest, assembly.offset)) {
      context.signal.throwIfAborted();
      await assembly.add(chunk, null);
    }
    if (assembly.isComplete && (await assembly.settle()).kind === 'verified') return true;
    await assembly.restart();
    return false;
  } catch (error) {
    throw ownError(context, request.blob, error);
  } finally {
    await sink.release();
  }
}

/** Lets a pull that did not start a fetch see it as its own: attempts, failovers, bytes. */
function echo(context: HeartContext, blob: WantedBlob, running: RunningFetch): () => void {
  if (running.context.sources === context.sources) return () => {};
  const { sources, observer } = context;
  return running.context.sources.listen(blob.digest, {
    failed: ({ candidate, ...failure }) => {
      sources.failedElsewhere({ ...failure, registry: candidate.registry });
    },
    movedOver: (failover) => {
      sources.movedOver({ ...failover, object: blob.digest });
    },
    delivered: ({ registry }, bytes) => {
      sources.deliveredElsewhere(registry, blob.digest, bytes);
      observer.bytesArrived(registry, 'layers', blob.digest, bytes);
    },
  });
}

/** What a shared fetch failed with, told as this pull's own failure. */
function ownError(context: HeartContext, blob: WantedBlob, error: unknown): unknown {
  if (context.signal.aborted) return context.signal.reason;
  if (isPullExhaustedError(error)) return exhausted(context, 'layers');
  return error instanceof SinkError ? sinkFailure(error, blob.digest) : error;
}

/** The sink of a waiter that was let go: what is still queued for it comes first. */
function afterQueue(outlet: Outlet): BlobSink {
  return {
    kept: 0,
    readKept: () => outlet.sink.readKept(),
    write: async (chunk) => {
      await outlet.drained();
      await outlet.sink.write(chunk);
    },
    restart: async () => {
      await outlet.drained();
      await outlet.sink.restart();
    },
    commit: async () => {
      await outlet.drained();
      await outlet.sink.commit();
    },
    release: () => outlet.sink.release(),
  };
}
