import { monotonicMs } from '../clock/time.js';
import { PullExhaustedError } from '../errors/pull-exhausted-error.js';
import { sleep } from '../policy/deadline.js';
import type { RegistryPhase } from '../vocabulary/phase.js';
import type { Candidate } from './candidate.js';
import type { HeartContext } from './context.js';

/** Waits for a Retry-After in a row without anything served in between; more would be a way to hang for ever. */
const maxWaits = 3;

/**
 * Waits until the first of these candidates may be asked again, when only such are left.
 *
 * @param waited how often this object has waited already without anything served in between
 * @returns false when there is none, it asks for more time than the pull has, or waiting has been of no use
 */
export async function waitForLimited(
  context: HeartContext,
  phase: RegistryPhase,
  candidates: readonly Candidate[],
  waited: number,
): Promise<boolean> {
  const waitMs = shortestWaitMs(context, phase, candidates);
  if (waitMs === null || waited >= maxWaits || waitMs > context.maxRetryAfterMs) return false;
  if (waitMs === 0) return true;
  const first = candidates.find((candidate) => context.sources.limitedUntilMs(candidate, phase) !== null);
  context.observer.waiting(phase, first === undefined ? null : context.sources.lastReason(first), waitMs);
  const untilMs = monotonicMs() + waitMs;
  // A timer may fire a little early, and a candidate that is still limited then would cost one of the waits.
  while (monotonicMs() < untilMs) await sleep(Math.ceil(untilMs - monotonicMs()), context.signal);
  context.observer.waited();
  return true;
}

/** Milliseconds until the first of them may be asked again; null when there is none. */
function shortestWaitMs(context: HeartContext, phase: RegistryPhase, candidates: readonly Candidate[]): number | null {
  if (candidates.length === 0) return null;
  const nowMs = monotonicMs();
  const waits = candidates.map((candidate) => (context.sources.limitedUntilMs(candidate, phase) ?? nowMs) - nowMs);
  return Math.max(0, Math.ceil(Math.min(...waits)));
}

/** What a fetch ends with when nobody is left to ask. */
export function exhausted(context: HeartContext, phase: RegistryPhase): PullExhaustedError {
  const limited = context.sources
    .order(phase)
    .filter((candidate) => context.sources.limitedUntilMs(candidate, phase) !== null);
  const retryAfterMs = shortestWaitMs(context, phase, limited);
  return new PullExhaustedError({
    image: context.image,
    phase,
    attempts: [...context.sources.attempts],
    ...(retryAfterMs === null ? {} : { retryAfterMs }),
  });
}
