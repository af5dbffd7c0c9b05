import { createHash } from 'node:crypto';
import { monotonicMs } from '../clock/time.js';
import type { Fault, FaultGroup, RequestFault } from './fault.js';
import { parseFault } from './parse-fault.js';

/** Who answers: the registry's own API or the storage it redirects to. */
export type Place = 'registry' | 'storage';

/** A request as the faults see it. */
export interface StruckRequest {
  readonly group: Exclude<FaultGroup, 'connection'>;
  readonly place: Place;
  /** Who sends the bytes of blobs here, and is therefore at fault when the fault does not say. */
  readonly bytesFrom: Place;
  readonly repository: string | null;
  readonly object: string | null;
  readonly method: string;
}

/** The faults in force, with the count of what each has struck. */
export interface FaultScript {
  readonly faults: readonly Fault[];
  /** The faults that strike this request, in the order they were given; counts it. */
  strike(request: StruckRequest): readonly RequestFault[];
  /** What becomes of a new connection; counts it. */
  strikeConnection(place: Place): 'served' | 'reset' | 'blackholed';
  /** Whether nobody listens there now. */
  refuses(place: Place): boolean;
  /** Milliseconds until `refuses` may answer otherwise, or null when it never will. */
  refusalChangesInMs(): number | null;
}

/** Redirects are the registry's doing, wherever the bytes come from. */
const registryKinds: readonly Fault['kind'][] = ['redirect-loop', 'redirect-to', 'expired-redirect'];

/**
 * Puts faults in force from now on; checks them, as they may come from a file.
 *
 * @throws {InvalidOptionError} when one is malformed
 */
export function createFaultScript(given: readonly Fault[], path: string = 'faults'): FaultScript {
  const faults = given.map((fault, index) => parseFault(fault, `${path}[${index}]`));
  const startedAtMs = monotonicMs();
  const matched: number[] = faults.map(() => 0);
  const asked = new Map<string, number>();

  const inTime = (fault: Fault): boolean => {
    const [fromMs, toMs] = fault.between ?? [0, Infinity];
    const elapsedMs = monotonicMs() - startedAtMs;
    return elapsedMs >= fromMs && elapsedMs < toMs;
  };

  function counts(fault: Fault, index: number, key: string): boolean {
    if (!inTime(fault)) return false;
    if (fault.probability !== undefined) {
      const times = (asked.get(`${index} ${key}`) ?? 0) + 1;
      asked.set(`${index} ${key}`, times);
      if (share(`${fault.seed ?? 1} ${key} ${times}`) >= fault.probability) return false;
    }
    const before = matched[index] ?? 0;
    matched[index] = before + 1;
    const after = fault.after ?? 0;
    return before >= after && before < after + (fault.times ?? Infinity);
  }

  return {
    faults,
    strike: (request) => {
      const key = [request.method, request.place, request.repository, request.object].join(' ');
      return faults.filter(
        (fault, index): fault is RequestFault => matches(fault, request) && counts(fault, index, key),
      );
    },
    strikeConnection: (place) => {
      const struck = faults.find(
        (fault, index) =>
          fault.on === 'connection' &&
          fault.kind !== 'refuse' &&
          (fault.at ?? 'registry') === place &&
          counts(fault, index, place),
      );
      if (struck === undefined) return 'served';
      return struck.kind === 'reset' ? 'reset' : 'blackholed';
    },
    refuses: (place) => faults.some((fault) => isRefusal(fault) && (fault.at ?? 'registry') === place && inTime(fault)),
    refusalChangesInMs: () => {
      const elapsedMs = monotonicMs() - startedAtMs;
      const edges = faults
        .filter(isRefusal)
        .flatMap((fault) => fault.between ?? [])
        .filter((edgeMs) => edgeMs > elapsedMs && edgeMs !== Infinity);
      return edges.length === 0 ? null : Math.min(...edges) - elapsedMs;
    },
  };
}

function isRefusal(fault: Fault): boolean {
  return fault.on === 'connection' && fault.kind === 'refuse';
}

function matches(fault: Fault, request: StruckRequest): boolean {
  if (fault.on !== request.group) return false;
  if (fault.repository !== undefined && fault.repository !== request.repository) return false;
  if (fault.object !== undefined && fault.object !== request.object) return false;
  if (fault.method !== undefined && fault.method !== request.method) return false;
  if (fault.on !== 'layers') return true;
  const place = registryKinds.includes(fault.kind) ? 'registry' : (fault.at ?? request.bytesFrom);
  return place === request.place;
}

/** A number from 0 up to 1 that follows from the text alone, whatever order requests arrive in. */
function share(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE(0) / 2 ** 32;
}
