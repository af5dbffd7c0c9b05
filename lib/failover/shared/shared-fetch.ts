import type { BlobSink } from '../../engine/blob-sink.js';
import type { BlobStore } from '../../engine/engine.js';
import { isPullExhaustedError } from '../../errors/pull-exhausted-error.js';
import { abortable, deriveAbort, type DerivedAbort } from '../../policy/deadline.js';
import { Assembly, type Checkpoint, type WantedBlob } from '../blob/assembly.js';
import type { HeartContext } from '../context.js';
import { copyBlob } from '../blob/copy-blob.js';
import { echo } from './echo.js';
import { SinkError, sinkFailure } from '../failure.js';
import { completeBlob, fetchBlob, primeBlob } from '../blob/fetch-blob.js';
import { exhausted } from '../limited.js';
import { Outlet } from './outlet.js';
import { RunningFetch } from './running-fetch.js';

/** A blob wanted for one store. */
export interface SharedBlobRequest {
  readonly blob: WantedBlob & { readonly mediaType: string };
  /** What fetches must have in common to be shared: the plan, the identity of its credentials, the limits. */
  readonly key: string;
  readonly store: BlobStore;
}

/** One store on its way to one blob, and the pulls that wait for it. */
interface StoreFetch {
  /** The view of the pull that began it, with a signal of its own. */
  readonly context: HeartContext;
  readonly work: DerivedAbort;
  readonly done: Promise<void>;
  /** Whoever comes now begins anew. */
  readonly forget: () => void;
  waiters: number;
}

/**
 * Fetches a blob once for all pulls that want it at the same time from the same registries with the same credentials.
 * Each may leave at any time: a store's part ends when its last pull has left, the fetch when its last store has.
 * A store that cannot keep up is let go and continues by itself, from the byte it has reached. One that comes after the
 * beginning is gone waits for the end and copies.
 */
export class SharedFetches {
  readonly #running = new Map<string, RunningFetch>();
  readonly #byStore = new WeakMap<BlobStore, Map<string, StoreFetch>>();

  /** Brings the blob into the request's store. Errors are those of `fetchBlob`. */
  async fetch(context: HeartContext, request: SharedBlobRequest): Promise<void> {
    const key = `${request.blob.digest} ${request.key}`;
    for (;;) {
      context.signal.throwIfAborted();
      const fetch = this.#storeFetch(context, request, key);
      const silence = echo(fetch.context, context, request.blob.digest);
      fetch.waiters += 1;
      try {
        await abortable(fetch.done, context.signal);
        return;
      } catch (error) {
        if (context.signal.aborted) throw context.signal.reason;
        if (!isPullExhaustedError(error)) throw error;
        if (!hasMorePatience(context, fetch.context, error.retryAfterMs)) throw exhausted(context, 'layers');
      } finally {
        silence();
        fetch.waiters -= 1;
        if (fetch.waiters === 0) {
          fetch.forget();
          fetch.work.abort(new Error('nobody waits for this blob any more'));
          // What was written so far is kept before the last one goes.
          await fetch.done.catch(() => {});
        }
      }
    }
  }

  #storeFetch(context: HeartContext, request: SharedBlobRequest, key: string): StoreFetch {
    const ofStore = this.#byStore.get(request.store) ?? new Map<string, StoreFetch>();
    this.#byStore.set(request.store, ofStore);
    const known = ofStore.get(key);
    if (known !== undefined) return known;
    const work = deriveAbort(context.outliving);
    const own = { ...context, signal: work.signal };
    const forget = (): void => {
      if (ofStore.get(key)?.work === work) ofStore.delete(key);
    };
    const done = this.#bring(own, request, key).finally(() => {
      forget();
      work[Symbol.dispose]();
    });
    done.catch(() => {});
    const fetch: StoreFetch = { context: own, work, done, forget, waiters: 0 };
    ofStore.set(key, fetch);
    return fetch;
  }

  async #bring(context: HeartContext, request: SharedBlobRequest, key: string): Promise<void> {
    const { blob, store } = request;
    const sink = await store.openBlob(blob, context);
    if (sink === null) return;
    try {
      await this.#fill(context, request, key, sink);
    } catch (error) {
      if (context.signal.aborted) throw context.signal.reason;
      throw error instanceof SinkError ? sinkFailure(error, blob.digest) : error;
    } finally {
      await sink.release();
    }
  }

  async #fill(context: HeartContext, { blob, store }: SharedBlobRequest, key: string, sink: BlobSink): Promise<void> {
    for (;;) {
      context.signal.throwIfAborted();
      const outlet = new Outlet(store, sink);
      const running = this.#running.get(key);
      if (running === undefined) {
        await attend(context, blob, this.#lead(context, blob, key, outlet), outlet);
        return;
      }
      if (running.join(outlet)) {
        await attend(context, blob, running, outlet);
        return;
      }
      const watched = await watch(context, blob, running);
      switch (watched.kind) {
        case 'whole': {
          const assembly = new Assembly(blob, sink);
          await primeBlob(context, assembly);
          if (!(await copyBlob(assembly, watched.store, context.signal))) await completeBlob(context, assembly);
          return;
        }
        case 'held':
          await fetchBlob(context, blob, sink);
          return;
        case 'ended':
          break;
      }
    }
  }

  #lead(context: HeartContext, blob: WantedBlob, key: string, outlet: Outlet): RunningFetch {
    const running = new RunningFetch(context, blob, outlet, () => {
      if (this.#running.get(key) === running) this.#running.delete(key);
    });
    this.#running.set(key, running);
    return running;
  }
}

/** Gets the bytes as they come, until the blob is there or this store has to go on alone. */
async function attend(context: HeartContext, blob: WantedBlob, running: RunningFetch, outlet: Outlet): Promise<void> {
  const silence = echo(running.context, context, blob.digest);
  try {
    const from = await abortable(takePart(context, running, outlet), context.signal);
    silence();
    running.leave(outlet);
    if (from !== null) await completeBlob(context, new Assembly(blob, outlet.afterQueue(), from));
  } finally {
    silence();
    running.leave(outlet);
    await outlet.close();
  }
}

/** Resolves with null when the store has the blob, or with where it has to go on alone. */
async function takePart(context: HeartContext, running: RunningFetch, outlet: Outlet): Promise<Checkpoint | null> {
  try {
    const over = Promise.race([outlet.finished, running.done]).then(() => null);
    return await Promise.race([over, outlet.parted]);
  } catch (error) {
    if (isPullExhaustedError(error) && hasMorePatience(context, running.context, error.retryAfterMs)) {
      return running.checkpoint();
    }
    throw error;
  }
}

async function watch(
  context: HeartContext,
  blob: WantedBlob,
  running: RunningFetch,
): ReturnType<RunningFetch['watch']> {
  const silence = echo(running.context, context, blob.digest);
  try {
    return await running.watch(context.signal);
  } catch (error) {
    if (isPullExhaustedError(error) && hasMorePatience(context, running.context, error.retryAfterMs)) {
      return { kind: 'ended' };
    }
    throw error;
  } finally {
    silence();
  }
}

/** Whether this pull would have waited for a Retry-After that the one which did the work had no time for. */
function hasMorePatience(context: HeartContext, other: HeartContext, retryAfterMs: number | undefined): boolean {
  return (
    retryAfterMs !== undefined &&
    retryAfterMs <= context.maxRetryAfterMs &&
    context.maxRetryAfterMs > other.maxRetryAfterMs
  );
}
