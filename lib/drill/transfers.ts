import type { PullEvent } from '../events/pull-event.js';
import type { LoggedRequest } from '../testing/request-log.js';
import type { Served } from '../vocabulary/report.js';

/** What one registry sent, told by both ends. */
export interface Transfer {
  /** The registry's prefix. */
  readonly registry: string;
  /** Requests for manifests and blobs. */
  readonly requests: number;
  /** Bytes of manifests and blobs that left the registry, by its own log. */
  readonly sentBytes: number;
  /** Bytes of them that arrived, by the reports in the events; those of probes too. */
  readonly arrivedBytes: number;
  /** Of these, those that were of no use, and hedges with it, by the same reports. */
  readonly wastedBytes: number;
  readonly hedges: { readonly won: number; readonly lost: number };
  /** Whether both ends say the same; null when a pull did not succeed, and so reports no bytes per registry. */
  readonly agrees: boolean | null;
}

/** A registry's own view. */
export interface RegistryLog {
  readonly prefix: string;
  readonly requests: readonly LoggedRequest[];
}

/** Compares what each registry says it sent with what the events say arrived from it. */
export function compareTransfers(logs: readonly RegistryLog[], events: readonly PullEvent[]): readonly Transfer[] {
  const reported = reportedBy(events);
  const allSucceeded = !events.some(({ type }) => type === 'pull:failed' || type === 'pull:aborted');
  return logs.map(({ prefix, requests }) => {
    const content = requests.filter(isContent);
    const sentBytes = content.reduce((sum, request) => sum + (isError(request) ? 0 : request.bytesSent), 0);
    const served = reported.filter(({ registry }) => registry === prefix);
    const sum = (count: (one: Served) => number): number => served.reduce((total, one) => total + count(one), 0);
    const arrivedBytes = sum(({ bytes }) => bytes) + probedBytes(events, prefix);
    return {
      registry: prefix,
      requests: content.filter(({ kind }) => kind !== 'storage').length,
      sentBytes,
      arrivedBytes,
      wastedBytes: sum(({ wastedBytes }) => wastedBytes),
      hedges: { won: sum(({ hedges }) => hedges.won), lost: sum(({ hedges }) => hedges.lost) },
      agrees: allSucceeded ? sentBytes === arrivedBytes : null,
    };
  });
}

/** Probes read without a pull. */
function probedBytes(events: readonly PullEvent[], prefix: string): number {
  return events.reduce(
    (sum, event) => sum + (event.type === 'registry:probed' && event.registry === prefix ? event.bytes : 0),
    0,
  );
}

function isContent({ kind }: LoggedRequest): boolean {
  return kind === 'manifest' || kind === 'blob' || kind === 'storage';
}

/** The body of an error is no content of an image, and nobody counts it as such. */
function isError({ status }: LoggedRequest): boolean {
  return status !== null && status >= 300;
}

/** A pull that joined another one reports the bytes of that one: they arrived once. */
function reportedBy(events: readonly PullEvent[]): readonly Served[] {
  const joined = new Set(events.flatMap((event) => (event.type === 'pull:joined' ? [event.pullId] : [])));
  return events.flatMap((event) =>
    event.type === 'pull:succeeded' && !joined.has(event.pullId) ? event.report.served : [],
  );
}
