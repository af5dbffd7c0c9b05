import { monotonicMs } from '../../clock/time.js';
import type { HeartContext } from '../context.js';
import { judgeThrown } from '../failure.js';
import type { Flight } from './flight.js';
import { LeftQueueError } from './leave-queue.js';
import { Proof, provingBytes } from './proof.js';

/** After so many it is known to live and to be slow: all of them are thrown away, and taken from who is fast. */
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
  const proof = new Proof();
  let bytes = 0;
  let isSlow = false;
  flight.detach((arrived) => {
    bytes += arrived;
    const isProven = proof.add(arrived);
    isSlow = !isProven && bytes >= enoughBytes;
    if (isSlow || isProven) flight.cancel();
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
