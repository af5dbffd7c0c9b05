import { epochMs, monotonicMs, toEpochMs } from '../clock/time.js';
import { ParkCancelledError } from '../errors/park-cancelled-error.js';
import type { PullerClosedError } from '../errors/puller-closed-error.js';
import type { PullResumed } from '../events/pull-event.js';
import type { Circuits } from '../health/circuit.js';
import { onAbort } from '../policy/deadline.js';
import { ResumeTurns } from './resume-turns.js';
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

/** A pull that tries again. */
export interface Resumed {
  readonly why: ResumeCause;
  /** To be called when its try has ended, however: the next one waits for that. */
  readonly ended: () => void;
}

interface Place {
  readonly request: ParkRequest;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
  /** Lets it try again when it is its turn, which is at once for a pull that was promoted. */
  readonly resume: (why: ResumeCause) => void;
  readonly giveUp: (error: unknown) => void;
}

/**
 * Where pulls wait: until a circuit changes for the better, a pause is over, half a minute has passed, or an operator acts.
 * They go on oldest first, so many at a time: a registry that has just come back is not run over.
 */
export class CarPark implements ParkedPulls {
  readonly #circuits: Circuits;
  readonly #coolDownMs: number;
  readonly #places = new Set<Place>();
  readonly #turns: ResumeTurns;
  #parkedSoFar = 0;
  #closed: PullerClosedError | null = null;

  /**
   * @param coolDownMs the first cool-down of a circuit, in milliseconds
   * @param resumeAtOnce how many may try again at the same time
   */
  constructor(circuits: Circuits, coolDownMs: number, resumeAtOnce: number = Infinity) {
    this.#circuits = circuits;
    this.#coolDownMs = coolDownMs;
    this.#turns = new ResumeTurns(resumeAtOnce);
  }

  /** An operator acted: everybody may try again. */
  operatorActed(): void {
    for (const place of Array.from(this.#places)) place.resume('operator');
  }

  list(): readonly ParkedPull[] {
    return [...this.#places].flatMap(({ request, sinceMs }) => {
      const { callers, waitMs, reason } = request;
      return callers.scopes.map((scope) => ({
        ...scope,
        sinceMs,
        untilMs: toEpochMsOrNever(callers.waitEndsAtMs(scope.pullId, waitMs)),
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
  async park(request: ParkRequest): Promise<Resumed> {
    const { callers, waitMs, retryAfterMs, signal } = request;
    signal.throwIfAborted();
    if (this.#closed !== null) throw this.#closed;
    const parkedAtMs = monotonicMs();
    this.#parkedSoFar += 1;
    const order = this.#parkedSoFar;
    let turn: 'none' | 'waiting' | 'over' = 'none';
    let timer: NodeJS.Timeout | undefined;
    const stops: (() => void)[] = [() => clearTimeout(timer)];
    const stop = (): void => {
      turn = 'over';
      for (const each of stops.splice(0)) each();
    };
    try {
      return await new Promise<Resumed>((resolve, reject) => {
        const resume = (why: ResumeCause): void => {
          const atOnce = why === 'promoted';
          if (turn === 'over' || (turn === 'waiting' && !atOnce)) return;
          turn = 'waiting';
          const begin = (ended: () => void): void => {
            stop();
            resolve({ why, ended });
          };
          stops.push(this.#turns.take({ order, atOnce, begin }));
        };
        // At once: whoever gives its turn back in this moment must not hand it to a pull that has gone.
        const giveUp = (error: unknown): void => {
          stop();
          reject(error);
        };
        const arm = (): void => {
          const parkedMs = monotonicMs() - parkedAtMs;
          const { pauseMs, why } = nextTry({
            leftMs: firstEndMs(callers, waitMs) - monotonicMs(),
            parkedMs,
            retryAfterMs,
            coolDownMs: this.#circuits.nextChangeMs() ?? this.#trialMs(parkedMs),
          });
          clearTimeout(timer);
          timer = setTimeout(() => resume(why), pauseMs);
        };
        const place: Place = { request, sinceMs: epochMs(), resume, giveUp };
        stops.push(
          onAbort(signal, giveUp),
          // A circuit that opens while the pull is parked has a cool-down whose end counts too.
          this.#onChange(resume, arm),
          () => this.#places.delete(place),
        );
        this.#places.add(place);
        arm();
      });
    } finally {
      stop();
    }
  }

  #placeOf(pullId: string): Place | undefined {
    return [...this.#places].find(({ request }) => request.callers.scopes.some((scope) => scope.pullId === pullId));
  }

  /** A half-open circuit waits for the next pull to try it: this one, which has just failed, a cool-down later. */
  #trialMs(parkedMs: number): number | null {
    const isWaiting = this.#circuits.health().some(({ state }) => state === 'half-open');
    return isWaiting ? this.#coolDownMs - parkedMs : null;
  }

  /** Tells a circuit that got better from any other change. */
  #onChange(better: (why: ResumeCause) => void, other: () => void): () => void {
    const count = (): { readonly ill: number; readonly open: number } => {
      const states = this.#circuits.health().map(({ state, heldAs }) => heldAs ?? state);
      return {
        ill: states.filter((state) => state !== 'closed').length,
        open: states.filter((state) => state === 'open').length,
      };
    };
    let before = count();
    return this.#circuits.onChange(() => {
      const now = count();
      const was = before;
      before = now;
      if (now.ill < was.ill) better('circuit-closed');
      else if (now.open < was.open) better('cool-down-over');
      else other();
    });
  }
}

/** What a parked pull waits for; milliseconds, from when it was parked for `retryAfterMs`, else from now. */
interface Waits {
  readonly leftMs: number;
  readonly parkedMs: number;
  readonly retryAfterMs: number | null;
  readonly coolDownMs: number | null;
}

function nextTry({ leftMs, parkedMs, retryAfterMs, coolDownMs }: Waits): {
  readonly pauseMs: number;
  readonly why: ResumeCause;
} {
  let pauseMs = longestPauseMs - parkedMs;
  let why: ResumeCause = 'interval';
  if (coolDownMs !== null && coolDownMs < pauseMs) [pauseMs, why] = [coolDownMs, 'cool-down-over'];
  if (retryAfterMs !== null && retryAfterMs - parkedMs < pauseMs) {
    [pauseMs, why] = [retryAfterMs - parkedMs, 'retry-after-over'];
  }
  return { why, pauseMs: Math.max(0, Math.min(leftMs, Math.max(shortestPauseMs - parkedMs, pauseMs))) };
}

/** When the first of them must not wait any more, on the monotonic clock. */
export function firstEndMs(callers: Callers, waitMs: number): number {
  return Math.min(...callers.scopes.map(({ pullId }) => callers.waitEndsAtMs(pullId, waitMs)));
}

/** A time of the monotonic clock as events tell it; null for never. */
export function toEpochMsOrNever(atMs: number): number | null {
  return Number.isFinite(atMs) ? toEpochMs(atMs) : null;
}
