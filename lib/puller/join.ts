import { formatPlatform } from '../image/platform.js';
import { abortable, deriveAbort, type DerivedAbort } from '../policy/deadline.js';
import type { Attempt, PullReport } from '../vocabulary/report.js';
import { type Caller, Callers } from './callers.js';
import type { PullJob } from './pull-job.js';

/** The work of one pull, as those who joined it see it. */
export interface JoinableWork {
  readonly done: Promise<PullReport>;
  /** Every failed attempt so far. */
  readonly attempts: () => readonly Attempt[];
}

/** Work that has begun, and who wants it. */
interface SharedWork extends JoinableWork {
  /** The pull that began it. */
  readonly pullId: string;
  readonly abort: DerivedAbort;
  readonly callers: Callers;
}

/** What one caller brings. */
export interface JoinRequest {
  readonly key: string;
  readonly caller: Caller;
  /** Ends this caller's part; the work goes on while anybody else wants it. */
  readonly signal: AbortSignal;
  readonly onJoined: (pullId: string) => void;
  readonly onWork: (work: JoinableWork) => void;
  /** Starts the work; called only when there is none to join. */
  readonly start: (callers: Callers, signal: AbortSignal) => JoinableWork;
}

/** Lets identical pulls into the same engine share their work. Each caller leaves by itself; the last one ends the work. */
export class Joins {
  readonly #works = new Map<string, SharedWork>();
  readonly #running = new Set<Promise<unknown>>();

  /** Settles as the work does, or with the signal's own reason. */
  async attend(request: JoinRequest): Promise<PullReport> {
    request.signal.throwIfAborted();
    const work = this.#works.get(request.key) ?? this.#begin(request);
    const { pullId } = request.caller.voice.scope;
    if (work.pullId !== pullId) {
      request.onJoined(work.pullId);
      work.callers.add(request.caller);
    }
    request.onWork(work);
    try {
      return await abortable(work.done, request.signal);
    } finally {
      work.callers.remove(request.caller);
      if (work.callers.size === 0) this.#end(request, work);
    }
  }

  /** Resolves when nothing runs any more, also of what nobody wants and is only being ended. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  #begin(request: JoinRequest): SharedWork {
    const abort = deriveAbort();
    const callers = new Callers();
    callers.add(request.caller);
    const { done, attempts } = request.start(callers, abort.signal);
    const work: SharedWork = { pullId: request.caller.voice.scope.pullId, done, attempts, abort, callers };
    this.#works.set(request.key, work);
    this.#running.add(done);
    const forget = (): void => {
      if (this.#works.get(request.key) === work) this.#works.delete(request.key);
      this.#running.delete(done);
    };
    done.then(forget, forget);
    return work;
  }

  /** Unless it has ended. Whoever asks next starts anew, instead of joining work that is being ended. */
  #end(request: JoinRequest, work: SharedWork): void {
    if (!this.#running.has(work.done)) return;
    if (this.#works.get(request.key) === work) this.#works.delete(request.key);
    work.abort.abort(request.signal.reason);
  }
}

/**
 * What makes two pulls identical. Their deadlines, signals and operations may differ; those are each caller's own.
 * An engine's id alone may be given twice, to two places.
 */
export function joinKeyOf(job: PullJob): string {
  const { reference, platform, engine, policy, credentialIdentity } = job;
  const { deadlineMs: _, ...shared } = policy;
  return JSON.stringify(
    [engine.kind, engine.address, reference.canonical, formatPlatform(platform), credentialIdentity, shared],
    (_key, value: unknown) => (value === Infinity ? 'Infinity' : value),
  );
}
