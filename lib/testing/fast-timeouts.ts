import type { Timeouts } from '../policy/limits.js';

/**
 * Limits for unit tests: a stall, a missing answer or a drip is seen in about half a second,
 * well within a test's usual 2 s. Too short for real networks.
 */
export const fastTimeouts: Timeouts = {
  metadata: { requestMs: 600, totalMs: 1_200 },
  // The window of the floor is the time in which a drip is noticed.
  layers: { firstByteMs: 600, stallMs: 500, windowMs: 1_000 },
  lastCandidate: { firstByteMs: 600, stallMs: 500 },
};
