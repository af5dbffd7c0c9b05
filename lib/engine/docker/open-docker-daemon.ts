import { Readable } from 'node:stream';
import pTimeout from 'p-timeout';
import { createLog } from '../../log/log.js';
import { monotonicMs } from '../../clock/time.js';
import { abortable, deriveAbort, onAbort, sleep, type DerivedAbort } from '../../policy/deadline.js';
import { loopTimers } from '../../policy/loop-timer.js';
import { startSharedTask, type SharedTask } from '../../policy/shared-task.js';
import type { DaemonPull, DockerDaemon } from './docker-daemon.js';
import { readImage, readImageList } from './docker-images.js';
import type { DockerLike } from './docker-like.js';
import { isPullStatus, pullDialect } from './docker-pull.js';
import { exchange, openAnswer, readJson, readNothing, type DockerRequest } from './docker-request.js';
import { EngineFailure, engineFailure } from './engine-failure.js';
import type { EngineImage } from './engine-image.js';
import { readTraits, type EngineTraits } from './engine-traits.js';
import { readProgress, type EngineProgress } from './progress-stream.js';

/** A daemon's API that can be closed: then its requests end, and later ones are refused. */
export interface OpenDockerDaemon extends DockerDaemon, AsyncDisposable {
  /** Idempotent. */
  close(): Promise<void>;
}

const log = createLog('engine');

/** How long a small answer may take: an engine that is busy unpacking answers late, one that hangs never does. */
const answerLimitMs = 60_000;

/** The same where names go, and with the last one an image: its layers are removed before the answer. */
const removalLimitMs = 600_000;

/** How long a name that is being given is waited for when its caller has gone: engines take some milliseconds. */
const leftTagMs = 5_000;

/** How long one answer is waited for while a daemon starts: it takes connections before it answers them. */
const pingLimitMs = 5_000;

const firstPauseMs = 100;
const longestPauseMs = 1_000;

/** What is taken from an archive before the socket takes it. */
const archiveAheadBytes = 256 * 1024;

/**
 * Opens an engine's API through a dockerode. Asks nothing yet.
 *
 * @param address where it is, without credentials
 */
export function openDockerDaemon(docker: DockerLike, address: string): OpenDockerDaemon {
  const closing = new AbortController();
  const underWay = new Set<Promise<unknown>>();
  /** Names that are being given, also by callers who have gone. */
  const taggings = new Set<Promise<void>>();
  let known: EngineTraits | null = null;
  let asking: SharedTask<EngineTraits> | null = null;
  let lastAnswerAtMs = -Infinity;

  /** What was found out about a daemon that went away may be wrong about the one that comes back. */
  function seen<E>(error: E): E {
    if (!(error instanceof EngineFailure)) return error;
    if (error.isLost || error.fault === 'unreachable') known = null;
    else if (error.statusCode !== null) heard();
    return error;
  }

  function heard(): void {
    lastAnswerAtMs = monotonicMs();
  }

  async function working<T>(signal: AbortSignal | undefined, work: (own: DerivedAbort) => Promise<T>): Promise<T> {
    using own = deriveAbort(signal, closing.signal);
    own.signal.throwIfAborted();
    const running = work(own);
    underWay.add(running);
    try {
      return await running;
    } catch (error) {
      throw seen(error);
    } finally {
      underWay.delete(running);
    }
  }

  /** One short request. A connection that was lost says nothing of one that was kept by the host's own requests. */
  async function ask<T>(
    request: DockerRequest,
    signal: AbortSignal | undefined,
    read: (answer: Parameters<typeof readJson>[0]) => Promise<T>,
    limitMs: number = answerLimitMs,
  ): Promise<T> {
    const once = (): Promise<T> =>
      working(signal, (own) => {
        const answered = exchange(docker, request, own.signal, (answer) => {
          heard();
          return read(answer);
        });
        return pTimeout(answered, {
          milliseconds: limitMs,
          customTimers: loopTimers,
          signal: own.signal,
          fallback: () => {
            const failure = late(request, limitMs);
            own.abort(failure);
            throw failure;
          },
        });
      });
    try {
      return await once();
    } catch (error) {
      const again = request.method === 'GET' && error instanceof EngineFailure && error.isLost;
      if (!again || signal?.aborted === true) throw error;
      return once();
    }
  }

  async function askTraits(signal: AbortSignal): Promise<EngineTraits> {
    const version = await ask({ method: 'GET', path: '/version' }, signal, readJson);
    const info = await ask({ method: 'GET', path: '/info' }, signal, readJson);
    const traits = readTraits(version, info);
    log(null, 'engine known', { address, product: traits.product, version: traits.version, store: traits.store });
    known = traits;
    return traits;
  }

  async function traits(options: { readonly signal?: AbortSignal; readonly fresh?: boolean }): Promise<EngineTraits> {
    const { signal, fresh = false } = options;
    signal?.throwIfAborted();
    if (known !== null && !fresh) return known;
    if (asking === null) {
      const task: SharedTask<EngineTraits> = startSharedTask(
        askTraits,
        'nobody asks what the engine is any more',
        () => {
          if (asking === task) asking = null;
        },
      );
      asking = task;
    }
    return asking.attend((found) => abortable(found, signal));
  }

  async function inspect(reference: string, signal?: AbortSignal): Promise<EngineImage | null> {
    try {
      const path = `/images/${escaped(reference)}/json`;
      return readImage(await ask({ method: 'GET', path }, signal, readJson));
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  /** Once sent it is not taken back: an engine goes on with it, and whoever takes names away has to know until when. */
  async function tag(source: string, target: { readonly name: string; readonly tag: string }, signal?: AbortSignal) {
    signal?.throwIfAborted();
    const work = deriveAbort();
    const query = { repo: target.name, tag: target.tag };
    const tagging = ask({ method: 'POST', path: `/images/${escaped(source)}/tag`, query }, work.signal, readNothing);
    const settled = tagging.then(ignore, ignore).finally(() => taggings.delete(settled));
    taggings.add(settled);
    const giveUp = (reason: unknown): void => void setTimeout(() => work.abort(reason), leftTagMs).unref();
    const forget = signal === undefined ? ignore : onAbort(signal, giveUp);
    await abortable(tagging, signal).finally(forget);
  }

  async function untag(reference: string, signal?: AbortSignal): Promise<void> {
    // Podman 4.3 reads the names of an image, adds one, and writes them back, with one that was taken away meanwhile.
    await abortable(Promise.all(taggings), signal);
    try {
      const path = `/images/${escaped(reference)}`;
      await ask({ method: 'DELETE', path }, signal, readNothing, removalLimitMs);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }

  /** One long answer, line by line; whoever stops reading ends the request. */
  async function* following(
    request: DockerRequest,
    signal: AbortSignal,
  ): AsyncGenerator<EngineProgress, void, undefined> {
    using own = deriveAbort(signal, closing.signal);
    own.signal.throwIfAborted();
    let over = ignore;
    const running = new Promise<void>((resolve) => {
      over = resolve;
    });
    underWay.add(running);
    try {
      await using opened = await openAnswer(docker, request, own.signal);
      heard();
      const lines = readProgress(opened.answer, {
        onUnknown: (line) => log(null, 'the engine said something unknown', { address, line }),
      });
      for await (const line of lines) {
        // Lines that had come before the abort are not told after it.
        own.signal.throwIfAborted();
        yield line;
      }
    } catch (error) {
      throw own.signal.aborted ? own.signal.reason : seen(error);
    } finally {
      underWay.delete(running);
      over();
    }
  }

  async function* pull(request: DaemonPull, signal: AbortSignal): AsyncGenerator<EngineProgress, void, undefined> {
    const dialect = pullDialect(request, await traits({ signal }));
    let last: EngineProgress | null = null;
    let isDone = false;
    for await (const progress of following(dialect.request, signal)) {
      last = progress;
      isDone ||= isPullStatus(progress);
      yield progress;
    }
    if (dialect.end === 'image') isDone = await hasImage(dialect.reference, last, signal);
    if (!isDone) {
      throw seen(engineFailure({ text: 'the answer ended without a word on whether the image is there', lost: true }));
    }
  }

  async function hasImage(reference: string, last: EngineProgress | null, signal: AbortSignal): Promise<boolean> {
    if (last === null || last.id === null) return false;
    const image = await inspect(reference, signal);
    return image !== null && image.id.startsWith(`sha256:${last.id}`);
  }

  async function* load(
    archive: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): AsyncGenerator<EngineProgress, void, undefined> {
    using own = deriveAbort(signal);
    own.signal.throwIfAborted();
    const body = Readable.from(archive, { objectMode: false, highWaterMark: archiveAheadBytes });
    // An archive that fails ends the request, with its own error and not the engine's.
    body.on('error', own.abort);
    try {
      yield* following(
        { method: 'POST', path: '/images/load', query: { quiet: 'false' }, body, isLong: true },
        own.signal,
      );
    } finally {
      body.destroy();
    }
  }

  async function whenBack(withinMs: number, signal: AbortSignal): Promise<void> {
    const endMs = monotonicMs() + withinMs;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      try {
        const leftMs = Math.max(endMs - monotonicMs(), 1);
        await ask({ method: 'GET', path: '/_ping' }, signal, readNothing, Math.ceil(Math.min(leftMs, pingLimitMs)));
        return;
      } catch (error) {
        signal.throwIfAborted();
        closing.signal.throwIfAborted();
        const leftMs = endMs - monotonicMs();
        if (leftMs <= 0) throw error;
        await sleep(Math.min(pauseMs, leftMs), signal);
      }
    }
  }

  async function close(): Promise<void> {
    closing.abort(engineFailure({ text: `the way to the engine at ${address} was closed` }));
    await Promise.allSettled(underWay);
  }

  const daemon: OpenDockerDaemon = {
    address,
    traits,
    get knownTraits() {
      return known;
    },
    get lastAnswerAtMs() {
      return lastAnswerAtMs;
    },
    inspect,
    list: async (signal) => readImageList(await ask({ method: 'GET', path: '/images/json' }, signal, readJson)),
    tag,
    untag,
    pull,
    load,
    whenBack,
    close,
    [Symbol.asyncDispose]: close,
  };
  return Object.freeze(daemon);
}

function late({ method, path }: DockerRequest, limitMs: number): EngineFailure {
  return engineFailure({ text: `the engine did not answer ${method} ${path} within ${limitMs} ms`, code: 'ETIMEDOUT' });
}

function isMissing(error: unknown): boolean {
  return error instanceof EngineFailure && error.statusCode === 404;
}

/** A name as a path: its slashes and colons stay, whatever else ends a path or means something in one does not. */
function escaped(reference: string): string {
  return encodeURI(reference).replaceAll('?', '%3F').replaceAll('#', '%23');
}

function ignore(): void {}
