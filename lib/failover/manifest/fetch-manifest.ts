import { UnsupportedImageError } from '../../errors/unsupported-image-error.js';
import { HostFaultError } from '../../errors/host-fault-error.js';
import { judge } from '../../health/verdict.js';
import { deriveAbort, type DerivedAbort } from '../../policy/deadline.js';
import { askManifest, objectOf, type FetchedManifest, type WantedManifest } from './ask-manifest.js';
import type { Candidate } from '../candidate.js';
import type { HeartContext } from '../context.js';
import { exhausted, waitForLimited } from '../limited.js';
import { createQueueTimers, type QueueTimers } from './queue-timers.js';

/**
 * Fetches a manifest by digest, or what a tag names, from the candidates in order: the next one is asked when one
 * fails, or too (a hedge) when one is late. What arrives has been checked against its digest.
 *
 * @param among the candidates that may be asked; all of the pull's by default
 * @throws PullExhaustedError when every candidate failed; UnsupportedImageError; the signal's own reason
 */
export async function fetchManifest(
  context: HeartContext,
  wanted: WantedManifest,
  among: (candidate: Candidate) => boolean = () => true,
): Promise<FetchedManifest> {
  const { sources } = context;
  let candidates = sources.order('metadata').filter(among);
  for (let waited = 0; ; waited += 1) {
    const ready = candidates.filter((candidate) => sources.limitedUntilMs(candidate, 'metadata') === null);
    const skipped = candidates.filter((candidate) => !ready.includes(candidate));
    const fetched = await walk(context, wanted, ready);
    if (fetched !== null) return fetched;
    const turnedAway = ready.filter((candidate) => sources.limitedUntilMs(candidate, 'metadata') !== null);
    // Only those that asked for time are asked a second time; a manifest that all others failed is exhausted.
    candidates = [...skipped, ...turnedAway];
    if (!(await waitForLimited(context, 'metadata', candidates, waited))) throw exhausted(context, 'metadata');
  }
}

/** A candidate that is being asked. */
interface Asked {
  readonly candidate: Candidate;
  readonly abort: DerivedAbort;
  /** Its clock: our own queue is not its lateness. */
  readonly queue: QueueTimers;
  readonly outcome: Promise<Outcome>;
}

type Outcome =
  | { readonly kind: 'fetched'; readonly asked: Candidate; readonly manifest: FetchedManifest }
  | { readonly kind: 'failed'; readonly asked: Candidate; readonly error: unknown };

/** Asks the candidates one after another, and the next one too when the budget allows it and the last asked is late. */
async function walk(
  context: HeartContext,
  wanted: WantedManifest,
  candidates: readonly Candidate[],
): Promise<FetchedManifest | null> {
  const { signal, sources, hedge } = context;
  signal.throwIfAborted();
  const running = new Map<Candidate, Asked>();
  const asked: Candidate[] = [];
  let waiting = [...candidates];
  const hedges = new Set<Candidate>();
  let winner: Candidate | null = null;
  /** The one whose work whoever answers takes over: the first that was asked. */
  const first = candidates[0];
  let lateAfterMs: number | null = null;

  const ask = (): Asked | null => {
    const candidate = waiting.shift();
    if (candidate === undefined) return null;
    const started = start(context, wanted, candidate);
    running.set(candidate, started);
    asked.push(candidate);
    return started;
  };
  const abortAll = (): void => {
    for (const { abort } of running.values()) abort.abort(signal.reason);
  };
  /**
   * Whoever was asked before the winner and is still running has been overtaken. It keeps its connection until it
   * answers or its limit expires: only that tells a slow registry from a dead one.
   */
  const suspectLate = (winner: Candidate): void => {
    for (const candidate of asked.slice(0, asked.indexOf(winner))) {
      if (running.has(candidate)) sources.suspect(candidate, 'metadata');
    }
  };

  /** An operator changed whom to ask: whoever is not to be asked any more is not waited for either. */
  const stopSteering = sources.steering.onSteered(() => {
    const order = sources.order('metadata');
    waiting = order.filter((candidate) => waiting.includes(candidate));
    for (const { candidate, abort } of running.values()) {
      if (!order.includes(candidate)) abort.abort(new SteeredAwayError());
    }
  });

  signal.addEventListener('abort', abortAll, { once: true });
  try {
    let newest = ask();
    while (running.size > 0) {
      const delayMs = newest === null || waiting.length === 0 ? Infinity : hedge.delayMs(newest.candidate.registry);
      const [next] = waiting;
      const stopWarming = newest === null || next === undefined ? null : warmWhenSlow(context, newest, next, delayMs);
      const outcome = await firstOutcome([...running.values()], newest?.queue ?? null, delayMs);
      stopWarming?.();
      if (outcome === 'late') {
        // Without a budget the one that was asked simply gets all of its limit.
        newest = hedge.take() ? ask() : null;
        if (newest !== null) hedges.add(newest.candidate);
        lateAfterMs ??= delayMs;
        continue;
      }
      running.delete(outcome.asked);
      if (outcome.kind === 'fetched') {
        winner = outcome.asked;
        suspectLate(winner);
        for (const late of running.values()) tellWaste(context, wanted, late);
        if (first !== undefined && outcome.asked !== first)
          tookOver(context, wanted, first, outcome.asked, lateAfterMs);
        return outcome.manifest;
      }
      if (signal.aborted) throw signal.reason;
      if (outcome.error instanceof UnsupportedImageError || outcome.error instanceof HostFaultError)
        throw outcome.error;
      if (running.size === 0) newest = ask();
    }
    return null;
  } finally {
    stopSteering();
    signal.removeEventListener('abort', abortAll);
    if (signal.aborted) abortAll();
    for (const candidate of hedges) sources.hedged(candidate, objectOf(wanted), candidate === winner ? 'won' : 'lost');
  }
}

/** What a request is ended with that an operator does not want any more. */
class SteeredAwayError extends Error {
  override readonly name = 'SteeredAwayError';
}

function start(context: HeartContext, wanted: WantedManifest, candidate: Candidate): Asked {
  const abort = deriveAbort(context.outliving);
  const answered = context.hedge.asked(candidate.registry);
  const queue = createQueueTimers();
  const outcome = askManifest(context, candidate, wanted, queue, abort.signal)
    .then(
      (manifest): Outcome => {
        answered();
        context.sources.trust(candidate, 'metadata');
        return { kind: 'fetched', asked: candidate, manifest };
      },
      (error: unknown): Outcome => ({ kind: 'failed', asked: candidate, error }),
    )
    .finally(() => {
      abort[Symbol.dispose]();
    });
  return { candidate, abort, queue, outcome };
}

/** Opens a connection to whoever is next, before it is asked anything: half of the time to a hedge has passed. */
function warmWhenSlow({ signal }: HeartContext, slow: Asked, next: Candidate, delayMs: number): () => void {
  if (delayMs === Infinity) return () => {};
  const timer = slow.queue.start(Math.ceil(delayMs / 2), () => void next.client.warm(signal));
  return () => timer.cancel();
}

/** Whatever this one still brings, another one has brought already. */
function tellWaste(context: HeartContext, wanted: WantedManifest, late: Asked): void {
  void late.outcome.then((outcome) => {
    if (outcome.kind !== 'fetched') return;
    context.sources.wasted(late.candidate, objectOf(wanted), outcome.manifest.bytes.length);
  });
}

/** The first outcome, or `late` when there is none within `delayMs` by this clock. */
async function firstOutcome(
  asked: readonly Asked[],
  clock: QueueTimers | null,
  delayMs: number,
): Promise<Outcome | 'late'> {
  const outcomes = asked.map(({ outcome }) => outcome);
  if (clock === null || delayMs === Infinity) return Promise.race(outcomes);
  let isLate: () => void = () => {};
  const late = new Promise<'late'>((resolve) => {
    isLate = () => {
      resolve('late');
    };
  });
  const timer = clock.start(delayMs, isLate);
  try {
    return await Promise.race([...outcomes, late]);
  } finally {
    timer.cancel();
  }
}

function tookOver(
  context: HeartContext,
  wanted: WantedManifest,
  from: Candidate,
  to: Candidate,
  lateAfterMs: number | null,
): void {
  const object = objectOf(wanted);
  const lastReason = context.sources.attempts.findLast(
    (attempt) => attempt.registry === from.registry && attempt.object === object,
  )?.reason;
  // One that was overtaken has not failed yet; it gets the reason its limit would have given.
  const late = { kind: 'limit', limit: 'metadata.requestMs', value: lateAfterMs ?? 0, bytes: 0 } as const;
  const reason =
    lastReason ??
    context.sources.steering.whyPassed(from, 'metadata') ??
    judge({ evidence: late, phase: 'metadata' }, { registry: from.registry, object }).reason;
  context.sources.movedOver({ phase: 'metadata', from: from.registry, to: to.registry, reason, bytesKept: 0, object });
}
