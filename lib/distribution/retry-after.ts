import { epochMs } from '../clock/time.js';
import type { Headers } from './headers.js';
import { parseHttpDate } from './http-date.js';

/**
 * The longest wait that a peer can ask for: Docker Hub counts pulls over six hours. Anything longer is a mistake, or
 * would keep a registry out of use on the word of one answer.
 */
export const maxAskedRetryAfterMs: number = 6 * 60 * 60 * 1000;

/**
 * Reads Retry-After (RFC 9110, section 10.2.3): milliseconds from now, at most `maxAskedRetryAfterMs`; null when there is
 * none, or nothing that can be understood. A date is taken relative to the answer's own Date: the peer's clock may be
 * wrong, but it is the same one.
 */
export function retryAfterMsOf(headers: Headers): number | null {
  const value = headers.all('retry-after')[0]?.trim() ?? '';
  if (/^\d+$/.test(value)) return Math.min(Number(value) * 1_000, maxAskedRetryAfterMs);
  const untilMs = parseHttpDate(value);
  if (untilMs === null) return null;
  const nowMs = parseHttpDate(headers.all('date')[0]?.trim() ?? '') ?? epochMs();
  return Math.min(Math.max(untilMs - nowMs, 0), maxAskedRetryAfterMs);
}
