import { monotonicMs } from '../../clock/time.js';
import type { HeartContext } from '../context.js';
import { judgeThrown } from '../failure.js';
import type { Flight } from './flight.js';
import { LeftQueueError } from './leave-queue.js';

/** As many bytes within a second, and a registry delivers again. They are thrown away: somebody else has brought them. */
const provingBytes: number = 256 * 1024;
const provingMs = 1_000;

/** After so many it is known to live and to be slow: more would only be taken from who is fast. */
const enoughBytes: number = 2 * provingBytes;

/**
 * Lets a flight that was overtaken go on by itself, after the pull too: only when its limit expires is the registry ill,
 * and when it delivers again it is no suspect any more. One of a registry is enough to find out.
 */
export function letFly(context: HeartContext, flight: Flight): void {
  const { sources } = context;
  const { candidate } = flight;
  const forget = sources.watchLate(candidate);
  if (forget === null) {
    flight.cancel();
    return;
  }
  const startedAtMs = monotonicMs();
  let sinceMs = startedAtMs;
  let bytes = 0;
  let allBytes = 0;
  let isSlow = false;
  flight.detach((arrived) => {
    const nowMs = monotonicMs();
    if (nowMs - sinceMs > provingMs) {
      sinceMs = nowMs;
      bytes = 0;
    }
    bytes += arrived;
    allBytes += arrived;
    isSlow = allBytes >= enoughBytes && bytes < provingBytes;
    if (isSlow || bytes >= provingBytes) flight.cancel();
  });
  flight.whenOver(() => {
    forget();
    const { end } = flight;
    if (end?.kind === 'landed' && !isSlow) sources.trust(candidate, 'layers');
    // Whoever closes the puller has ended it.
    if (end?.kind !== 'failed' || end.error instanceof LeftQueueError || context.outliving.aborted) return;
    const { judgement, phase } = judgeThrown(end.error, candidate, 'layers', flight.digest);
    sources.failed({ candidate, phase, object: flight.digest, judgement, startedAtMs, bytes: flight.arrived });
  });
}
