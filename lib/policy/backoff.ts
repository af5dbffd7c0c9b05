/** The first wait: about what a load balancer needs to take a dead backend out, and nobody notices it in a pull. */
export const backoffBaseMs = 500;

/** The longest wait: a registry that is back is asked within seconds, a dying one by nobody more than six times a minute. */
export const backoffMaxMs = 10_000;

/** How long to wait between rounds. */
export interface BackoffOptions {
  /** The upper bound of round 0, in milliseconds; it doubles with each round. Default 500. */
  readonly baseMs?: number;
  /** The upper bound of all rounds, in milliseconds. Default 10,000. */
  readonly maxMs?: number;
  /** A number from 0 up to 1; default `Math.random`. */
  readonly random?: () => number;
}

/**
 * Returns how many milliseconds to wait before going on after round `round` (0 for the first) failed.
 * The wait is drawn from the whole of 0…bound ("full jitter"): pulls that failed together must not come back together.
 */
export function backoffMs(round: number, options: BackoffOptions = {}): number {
  const { baseMs = backoffBaseMs, maxMs = backoffMaxMs, random = Math.random } = options;
  return Math.round(random() * Math.min(maxMs, baseMs * 2 ** round));
}
