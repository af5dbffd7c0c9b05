import { monotonicMs } from '../clock/time.js';
import type { PullExhaustedError } from '../errors/pull-exhausted-error.js';
import type { Callers } from './callers.js';
import { type CarPark, firstEndMs, toEpochMsOrNever } from './park.js';

/** Who is to be parked. */
export interface ParkedRun {
  readonly callers: Callers;
  readonly signal: AbortSignal;
}

/**
 * Parks a pull that nobody could serve, with those of its callers who may still wait; the others leave with the error.
 * Resolves when it may try again, to what is to be called when that try has ended.
 *
 * @throws the error when nobody may wait any longer; what `CarPark.park` does
 */
export async function parkPull(
  carPark: CarPark,
  { callers, signal }: ParkedRun,
  exhausted: PullExhaustedError,
  waitMs: number,
): Promise<() => void> {
  const parkedAtMs = monotonicMs();
  const over = callers.scopes.filter(({ pullId }) => callers.waitEndsAtMs(pullId, waitMs) - parkedAtMs < 1);
  if (over.length === callers.size) throw exhausted;
  for (const { pullId } of over) callers.dismiss(pullId, exhausted);
  const reason = exhausted.attempts.at(-1)?.reason ?? null;
  const untilMs = toEpochMsOrNever(firstEndMs(callers, waitMs));
  callers.tell({ type: 'pull:parked', phase: exhausted.phase, reason, untilMs });
  const retryAfterMs = exhausted.retryAfterMs ?? null;
  const { why, ended } = await carPark.park({ callers, waitMs, reason, retryAfterMs, signal });
  callers.tell({ type: 'pull:resumed', parkedMs: Math.round(monotonicMs() - parkedAtMs), why });
  return ended;
}
