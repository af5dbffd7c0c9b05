import { formatPlatform } from '../image/platform.js';
import { abortable, deriveAbort, type DerivedAbort } from '../policy/deadline.js';
import type { Attempt, PullReport } from '../vocabulary/report.js';
import type { PullJob } from './pull-job.js';

/** The work of one pull, as those who joined it see it. */
export interface JoinableWork {
  readonly done: Promise<PullReport>;
  /** Every failed attempt so far. */
  readonly attempts: () => readonly Attempt[];
}

/** Work that has begun, and how many callers want it. */
interface SharedWork extends JoinableWork {
  /** The pull whose id the work's events carry. */
  readonly pullId: string;
  readonly abort: DerivedAbort;
  callers: number;
}

/** What one caller brings. */
export interface JoinRequest {
  readonly key: string;
  readonly pullId: string;
  /** Ends this caller's part; the work goes on while anybody else wants it. */
  readonly signal: AbortSignal;
  readonly onJoined: (pullId: string) => void;
  readonly onWork: (work: JoinableWork) => void;
  /** Starts the work; called only when there is none to join. */
  readonly start: (signal: AbortSignal) => JoinableWork;
}

/** Lets identical pulls into the same engine share their work. Each caller leaves by itself; the last one ends the work. */
export class Joins {
  readonly #works = new Map<string, SharedWork>();

  /** Settles as the work does, or with the signal's own reason. */
  async attend(request: JoinRequest): Promise<PullReport> {
    request.signal.throwIfAborted();
    let work = this.#works.get(request.key);
    if (work === undefined) {
      work = this.#begin(request);
    } else {
      request.onJoined(work.pullId);
    }
    request.onWork(work);
    work.callers += 1;
    try {
      return await abortable(work.done, request.signal);
    } finally {
      work.callers -= 1;
      if (work.callers === 0) this.#end(request, work);
    }
  }

  #begin(request: JoinRequest): SharedWork {
    const abort = deriveAbort();
    const { done, attempts } = request.start(abort.signal);
    const work: SharedWork = { pullId: request.pullId, done, attempts, abort, callers: 0 };
    this.#works.set(request.key, work);
    const forget = (): void => {
      if (this.#works.get(request.key) === work) this.#works.delete(request.key);
    };
    done.then(forget, forget);
    return work;
  }

  /** Whoever asks next starts anew, instead of joining work that is being ended. */
  #end(request: JoinRequest, work: SharedWork): void {
    if (this.#works.get(request.key) === work) this.#works.delete(request.key);
    work.abort.abort(request.signal.reason);
  }
}

/** What makes two pulls identical. Their deadlines, signals and operations may differ; those are each caller's own. */
export function joinKeyOf(job: PullJob): string {
  const { reference, platform, engine, policy, credentialIdentity } = job;
  const { deadlineMs: _, ...shared } = policy;
  return JSON.stringify(
    [engine.id, reference.canonical, formatPlatform(platform), credentialIdentity, shared],
    (_key, value: unknown) => (value === Infinity ? 'Infinity' : value),
  );
}
