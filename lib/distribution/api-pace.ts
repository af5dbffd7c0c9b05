import { monotonicMs } from '../clock/time.js';
import { onAbort } from '../policy/deadline.js';
import { ExchangeError } from './wire-error.js';

/** One request to the API, as far as its pace is concerned. */
export interface PacedRequest {
  /** The head of its answer is here, and is no 429. */
  answered(): void;
}

/** How fast the API of a registry is asked for blobs. */
export interface ApiPace {
  /** Whether it is known to redirect blobs. Until then, and where it serves them itself, no blob waits for another. */
  readonly redirects: boolean;
  /**
   * Waits for the turn of one blob request. Rejects with the signal's own reason, or with the error of a 429 that
   * another one got meanwhile: it would be answered the same.
   *
   * @param onWaiting is told when it is not its turn yet
   */
  turn(signal: AbortSignal, onWaiting: () => void): Promise<PacedRequest>;
  /** Counts a request that waits for nobody: a manifest, a token. */
  count(): PacedRequest;
  /** A blob request was answered. */
  learn(how: 'redirected' | 'served'): void;
  /** A request to the registry failed; a 429 of its own makes it be asked slower. */
  failed(error: unknown): void;
}

/**
 * As registries count that have a limit: by the second, and some more for their clock. It ends so long after the answer
 * of a request, since connections take their time to open: what left in two seconds can arrive in one. One that is not
 * answered leaves it by when it was sent.
 */
const windowMs = 1_050;

/**
 * Manifests wait for nobody, and without end they would fill every window: whoever has been the first in the queue for
 * as long goes all the same. Longer than one window, or it would go while those are on their way that fill it.
 */
const maxFirstMs = 2 * windowMs;

/** What was sent and answered within so long has arrived within a second. */
const provenWithinMs = 1_000;

/**
 * What is asked of a registry's API within a window at first, manifests and tokens included: the strictest of the big
 * registries allow some 5 a second and address. A pull of ten layers has begun all of them after two windows more; the
 * bytes, which take longer, come from elsewhere.
 */
const firstLimit = 5;

/** Faster than this is no limit at all: a registry has 16 connections unless told otherwise. */
const mostLimit = 640;

/**
 * The limit is doubled when so many turns in one go had to be waited for and there was no 429: some 8 s, in which two or
 * three pulls have asked for all they need. Only a fleet still waits then, and must not for long: once a doubled limit
 * has held, one window is enough for the next.
 */
const patience = 40;

/** A 429 halves the limit, and it is not raised again for as long. */
const humbleMs = 10 * 60_000;

/** Some registries redirect large blobs only, or are told to stop: so many in a row that it served itself. */
const servedInARowToBelieve = 16;

/** Where there is no pace. */
const uncounted: PacedRequest = { answered: () => undefined };

interface Sent {
  readonly sentAtMs: number;
  /** When it was answered, else sent. */
  readonly atMs: number;
  readonly isAnswered: boolean;
}

interface Waiting {
  readonly enter: (request: PacedRequest) => void;
  readonly refuse: (error: ExchangeError) => void;
}

/**
 * Keeps requests for blobs below what a redirecting registry allows: there the API answers within a round trip, so
 * that many blobs and ranges ask it much faster than where each answer brings its bytes. While nothing is known of a
 * registry the limit holds as well, until its first blob tells which kind it is.
 */
export function createApiPace(): ApiPace {
  let known: 'nothing' | 'serves' | 'redirects' = 'nothing';
  let servedInARow = 0;
  let limit = firstLimit;
  let waitedInARow = 0;
  let growsFromMs = -Infinity;
  let limitedAtMs = -Infinity;
  /** By `atMs`, oldest first. */
  let last: Sent[] = [];
  // A set keeps the order of arrival.
  const queue = new Set<Waiting>();
  /** Since when the first of them has been the first. */
  let firstSinceMs = 0;
  let timeout: NodeJS.Timeout | null = null;

  function untilFreeMs(): number {
    const earliest = last.at(-limit);
    return earliest === undefined ? 0 : Math.max(0, earliest.atMs + windowMs - monotonicMs());
  }

  function untilTurnMs(): number {
    return known === 'serves' ? 0 : Math.min(untilFreeMs(), Math.max(0, firstSinceMs + maxFirstMs - monotonicMs()));
  }

  function count(): PacedRequest {
    if (known === 'serves') return uncounted;
    const sentAtMs = monotonicMs();
    const sent: Sent = { sentAtMs, atMs: sentAtMs, isAnswered: false };
    last.push(sent);
    if (last.length >= 2 * mostLimit) last = last.slice(-mostLimit);
    return {
      answered: () => {
        const index = last.indexOf(sent);
        if (index === -1) return;
        last.splice(index, 1);
        last.push({ sentAtMs, atMs: monotonicMs(), isAnswered: true });
        learnFromAnswers();
      },
    };
  }

  /** Manifests do not wait: when more were answered within a second than blobs may be asked for, these may as well. */
  function learnFromAnswers(): void {
    const nowMs = monotonicMs();
    if (nowMs < growsFromMs || limit >= mostLimit || last.length <= limit) return;
    let proven = 0;
    for (const { sentAtMs, isAnswered } of last) {
      if (isAnswered && sentAtMs > nowMs - provenWithinMs) proven += 1;
    }
    if (proven <= limit) return;
    limit = Math.min(proven, mostLimit);
    letIn();
  }

  function grow(): void {
    waitedInARow += 1;
    const enough = limit > firstLimit ? limit : patience;
    if (waitedInARow < enough || monotonicMs() < growsFromMs) return;
    waitedInARow = 0;
    limit = Math.min(2 * limit, mostLimit);
  }

  function letIn(): void {
    if (timeout !== null) clearTimeout(timeout);
    timeout = null;
    for (const waiting of queue) {
      const waitMs = untilTurnMs();
      if (waitMs > 0) {
        timeout = setTimeout(letIn, Math.ceil(waitMs));
        return;
      }
      queue.delete(waiting);
      firstSinceMs = monotonicMs();
      grow();
      waiting.enter(count());
    }
  }

  return {
    get redirects() {
      return known === 'redirects';
    },
    count,
    turn: (signal, onWaiting) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) {
          reject(signal.reason);
          return;
        }
        if (known === 'serves' || (queue.size === 0 && untilFreeMs() === 0)) {
          if (queue.size === 0) waitedInARow = 0;
          resolve(count());
          return;
        }
        const stopListening = onAbort(signal, (reason) => {
          const [first] = queue;
          if (first === waiting) firstSinceMs = monotonicMs();
          queue.delete(waiting);
          letIn();
          reject(reason);
        });
        const waiting: Waiting = {
          enter: (request) => {
            stopListening();
            resolve(request);
          },
          refuse: (error) => {
            stopListening();
            reject(error);
          },
        };
        onWaiting();
        if (queue.size === 0) firstSinceMs = monotonicMs();
        queue.add(waiting);
        letIn();
      }),
    learn: (how) => {
      servedInARow = how === 'served' ? servedInARow + 1 : 0;
      if (how === 'redirected') known = 'redirects';
      else if (known === 'nothing' || servedInARow >= servedInARowToBelieve) known = 'serves';
      if (known === 'serves') letIn();
    },
    failed: (error) => {
      if (!isTooMany(error)) return;
      const nowMs = monotonicMs();
      // Manifests may have a limit of their own, which says nothing of blobs that are asked for slowly enough.
      if (error.phase === 'layers') {
        for (const { refuse } of queue) refuse(error);
        queue.clear();
        letIn();
      }
      waitedInARow = 0;
      growsFromMs = nowMs + humbleMs;
      // What was on its way when the first one came says nothing about the halved limit.
      if (nowMs - limitedAtMs < windowMs) return;
      limitedAtMs = nowMs;
      limit = Math.max(1, Math.floor(limit / 2));
    },
  };
}

function isTooMany(error: unknown): error is ExchangeError {
  if (!(error instanceof ExchangeError)) return false;
  const { evidence } = error;
  return evidence.kind === 'status' && evidence.status === 429 && evidence.from === 'registry';
}
