import type { HealthSettings } from './health-options.js';

/** The ratio needs this many pulls in its window: one of two is an accident, three of six are a pattern. */
export const minPullsForRatio = 6;

/** Decides when a circuit opens; what open means is no concern of it. */
export interface TripRule {
  /** Writes one pull's outcome down; returns whether the circuit must open now. */
  record(isIll: boolean, nowMs: number): boolean;
  /** Forgets everything: what came before a circuit opened says nothing about what comes after it. */
  reset(): void;
  /** Whether nothing is remembered that could still count at this time. */
  isIdle(nowMs: number): boolean;
}

/** Trips on so many ill pulls in a row, or on their share in a sliding window. */
export function createTripRule(
  settings: Pick<HealthSettings, 'consecutiveFailures' | 'failureRatio' | 'windowMs'>,
): TripRule {
  let inARow = 0;
  let illInWindow = 0;
  let window: { readonly atMs: number; readonly isIll: boolean }[] = [];

  function forgetOlderThanWindow(nowMs: number): void {
    const firstKept = window.findIndex((pull) => nowMs - pull.atMs < settings.windowMs);
    const dropped = window.splice(0, firstKept === -1 ? window.length : firstKept);
    for (const pull of dropped) if (pull.isIll) illInWindow -= 1;
  }

  return {
    record: (isIll, nowMs) => {
      forgetOlderThanWindow(nowMs);
      window.push({ atMs: nowMs, isIll });
      inARow = isIll ? inARow + 1 : 0;
      if (!isIll) return false;
      illInWindow += 1;
      return (
        inARow >= settings.consecutiveFailures ||
        (window.length >= minPullsForRatio && illInWindow / window.length >= settings.failureRatio)
      );
    },
    reset: () => {
      inARow = 0;
      illInWindow = 0;
      window = [];
    },
    isIdle: (nowMs) => {
      forgetOlderThanWindow(nowMs);
      return inARow === 0 && window.length === 0;
    },
  };
}
