import type { PullEvent } from '../events/pull-event.js';
import { culpritOf } from '../health/cause.js';

/** What a host's events tell of one day: nothing here is known in any other way. */
export interface Measurements {
  /** Operations that ended, by kind. */
  readonly provisioned: Readonly<Record<string, number>>;
  readonly failed: Readonly<Record<string, number>>;
  /** From the beginning of a pull, or of its next try, until its work went on at another registry; the longest first. */
  readonly failoverMs: readonly number[];
  /** Attempts that failed, and for how many of them a host was blamed. */
  readonly failedAttempts: number;
  readonly hostBlamed: number;
  /** Pulls that somebody had to let go on by hand. */
  readonly resumedByHand: number;
  /** Images that a registry of their replica set turned out to lack. */
  readonly missingImages: readonly string[];
  /** Operations that waited instead of failing. */
  readonly parkedOperations: number;
  /** Bytes that arrived although the engine had them, or got them from another registry as well. */
  readonly bytesTwice: number;
  readonly bytesFetched: number;
}

/** Reads a day from its events. */
export function measure(events: readonly PullEvent[]): Measurements {
  const provisioned: Record<string, number> = {};
  const failed: Record<string, number> = {};
  const begunAtMs = new Map<string, number>();
  const failoverMs: number[] = [];
  const missing = new Set<string>();
  const parked = new Set<string>();
  const joined = new Set<string>();
  let failedAttempts = 0;
  let hostBlamed = 0;
  let resumedByHand = 0;
  let bytesTwice = 0;
  let bytesFetched = 0;
  for (const event of events) {
    switch (event.type) {
      case 'pull:started':
        begunAtMs.set(event.pullId, event.atMs);
        break;
      case 'pull:joined':
        joined.add(event.pullId);
        break;
      case 'registry:failed':
        failedAttempts += 1;
        if (culpritOf[event.reason.cause] === 'host') hostBlamed += 1;
        break;
      case 'pull:failed-over':
        failoverMs.push(event.atMs - (begunAtMs.get(event.pullId) ?? event.atMs));
        break;
      case 'pull:parked':
        parked.add(event.pullId);
        break;
      case 'pull:resumed':
        begunAtMs.set(event.pullId, event.atMs);
        if (event.why === 'promoted') resumedByHand += 1;
        break;
      case 'replica:missing':
        missing.add(event.image);
        break;
      case 'pull:succeeded': {
        count(provisioned, event.operation?.kind);
        if (joined.has(event.pullId)) break;
        const { total, fetched, kept, local } = event.report.bytes;
        bytesFetched += fetched;
        bytesTwice += Math.max(0, fetched + kept + local - total);
        break;
      }
      case 'pull:failed':
      case 'pull:aborted':
        count(failed, event.operation?.kind);
        break;
      default:
        break;
    }
  }
  return {
    provisioned,
    failed,
    failoverMs: failoverMs.toSorted((a, b) => b - a),
    failedAttempts,
    hostBlamed,
    resumedByHand,
    missingImages: [...missing],
    parkedOperations: parked.size,
    bytesTwice,
    bytesFetched,
  };
}

function count(counts: Record<string, number>, kind: string | undefined): void {
  if (kind !== undefined) counts[kind] = (counts[kind] ?? 0) + 1;
}
