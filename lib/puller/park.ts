import { epochMs, monotonicMs } from '../clock/time.js';
import { ParkCancelledError } from '../errors/park-cancelled-error.js';
import type { PullerClosedError } from '../errors/puller-closed-error.js';
import type { PullResumed } from '../events/pull-event.js';
import type { Circuits } from '../health/circuit.js';
import { onAbort } from '../policy/deadline.js';
import type { Operation } from '../vocabulary/operation.js';
import type { Reason } from '../vocabulary/reason.js';
import type { Callers } from './callers.js';

/** A pull that waits for a registry to be well again. */
export interface ParkedPull {
  readonly pullId: string;
  readonly image: string;
  readonly operation: Operation | null;
  readonly engine: string;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
  /** Until when it waits at most, in milliseconds since the epoch; null without a limit. */
  readonly untilMs: number | null;
  /** What the last registry failed with. */
  readonly reason: Reason | null;
}

/** The host's view of the pulls that `whenExhausted: { waitMs }` parked. */
export interface ParkedPulls {
  /** Oldest first. */
  list(): readonly ParkedPull[];
  /** Lets this pull, and those that joined it, try again now. False when no such pull is parked. */
  promote(pullId: string): boolean;
  /** Ends this pull with `ParkCancelledError`, and not those that joined it. False when no such pull is parked. */
  cancel(pullId: string): boolean;
}

/** Why a parked pull tries again. */
export type ResumeCause = PullResumed['why'];

/** How long a pull is to be parked. */
export interface ParkRequest {
  /** Those who wait. */
  readonly callers: Callers;
  /** How long each of them may wait in all, in milliseconds. */
  readonly waitMs: number;
  /** What the last registry failed with. */
  readonly reason: Reason | null;
  /** Milliseconds until a registry may be asked again that wants to be left alone; null when there is none. */
  readonly retryAfterMs: number | null;
  readonly signal: AbortSignal;
}

/** An outage nobody told us the end of is looked at this often: the design's promise to operators. */
const longestPauseMs = 30_000;
/** No circuit knows of a registry that failed once; it is still not asked in a tight loop. */
const shortestPauseMs = 1_000;

interface Place {
  readonly request: ParkRequest;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
  readonly resume: (why: ResumeCause) => void;
  readonly giveUp: (error: unknown) => void;
}

/** Where pulls wait: until a circuit changes for the better, a pause is over, half a minute has passed, or the host says so. */
export class CarPark implements ParkedPulls {
  readonly #circuits: Circuits;
  readonly #places = new Set<Place>();
  #closed: PullerClosedError | null = null;

  constructor(circuits: Circuits) {
    this.#circuits = circuits;
  }

  list(): readonly ParkedPull[] {
    return [...this.#places].flatMap(({ request, sinceMs }) => {
      const { callers, waitMs, reason } = request;
      return callers.scopes.map((scope) => ({
        ...scope,
        sinceMs,
        untilMs: toEpochMs(callers.waitEndsAtMs(scope.pullId, waitMs)),
        reason,
      }));
    });
  }

  promote(pullId: string): boolean {
    const place = this.#placeOf(pullId);
    place?.resume('promoted');
    return place !== undefined;
  }

  cancel(pullId: string): boolean {
    const callers = this.#placeOf(pullId)?.request.callers;
    const scope = callers?.scopes.find((each) => each.pullId === pullId);
    return scope !== undefined && callers?.dismiss(pullId, new ParkCancelledError(scope.image)) === true;
  }

  /** Gives every parked pull back with this error, now and from now on. */
  close(error: PullerClosedError): void {
    this.#closed = error;
    for (const place of this.#places) place.giveUp(error);
  }

  /** Resolves when the pull may try again. @throws PullerClosedError, or the signal's own reason */
  async park(request: ParkRequest): Promise<ResumeCause> {
    const { callers, waitMs, retryAfterMs, signal } = request;
    signal.throwIfAborted();
    if (this.#closed !== null) throw this.#closed;
    const leftMs = firstEndMs(callers, waitMs) - monotonicMs();
    const { pauseMs, why } = nextTry(leftMs, retryAfterMs, this.#circuits.nextChangeMs());
    const stops: (() => void)[] = [];
    try {
      return await new Promise<ResumeCause>((resolve, reject) => {
        const timer = setTimeout(() => resolve(why), pauseMs);
        const place: Place = { request, sinceMs: epochMs(), resume: resolve, giveUp: reject };
        stops.push(
          () => clearTimeout(timer),
          onAbort(signal, reject),
          this.#onClosed(() => resolve('circuit-closed')),
          () => this.#places.delete(place),
        );
        this.#places.add(place);
      });
    } finally {
      for (const stop of stops) stop();
    }
  }

  #placeOf(pullId: string): Place | undefined {
    return [...this.#places].find(({ request }) => request.callers.scopes.some((scope) => scope.pullId === pullId));
  }

  /** Calls back when the number of circuits that are not closed goes down. */
  #onClosed(listener: () => void): () => void {
    const notClosed = (): number => this.#circuits.health().filter(({ state }) => state !== 'closed').length;
    let before = notClosed();
    return this.#circuits.onChange(() => {
      const now = notClosed();
      if (now < before) listener();
      before = now;
    });
  }
}

function nextTry(
  leftMs: number,
  retryAfterMs: number | null,
  coolDownMs: number | null,
): { readonly pauseMs: number; readonly why: ResumeCause } {
  const tries = [
    { pauseMs: longestPauseMs, why: 'interval' as const },
    ...(coolDownMs === null ? [] : [{ pauseMs: coolDownMs, why: 'cool-down-over' as const }]),
    ...(retryAfterMs === null ? [] : [{ pauseMs: retryAfterMs, why: 'retry-after-over' as const }]),
  ].toSorted((a, b) => a.pauseMs - b.pauseMs);
  const [first = { pauseMs: longestPauseMs, why: 'interval' as const }] = tries;
  return { why: first.why, pauseMs: Math.max(0, Math.min(leftMs, Math.max(shortestPauseMs, first.pauseMs))) };
}

/** When the first of them must not wait any more, on the monotonic clock. */
export function firstEndMs(callers: Callers, waitMs: number): number {
  return Math.min(...callers.scopes.map(({ pullId }) => callers.waitEndsAtMs(pullId, waitMs)));
}

/** A time of the monotonic clock as people read it; null for never. */
export function toEpochMs(atMs: number): number | null {
  return Number.isFinite(atMs) ? Math.round(epochMs() + (atMs - monotonicMs())) : null;
}
