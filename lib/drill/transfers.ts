import type { PullEvent } from '../events/pull-event.js';
import type { LoggedRequest } from '../testing/request-log.js';

/** What one registry sent, told by both ends. */
export interface Transfer {
  /** The registry's prefix. */
  readonly registry: string;
  /** Requests for manifests and blobs. */
  readonly requests: number;
  /** Bytes of manifests and blobs that left the registry, by its own log. */
  readonly sentBytes: number;
  /** Bytes of them that arrived, by the reports in the events. */
  readonly arrivedBytes: number;
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
  const arrived = arrivedBytes(events);
  const allSucceeded = !events.some(({ type }) => type === 'pull:failed' || type === 'pull:aborted');
  return logs.map(({ prefix, requests }) => {
    const content = requests.filter(isContent);
    const sentBytes = content.reduce((sum, request) => sum + (isError(request) ? 0 : request.bytesSent), 0);
    const arrivedBytes = arrived.get(prefix) ?? 0;
    return {
      registry: prefix,
      requests: content.filter(({ kind }) => kind !== 'storage').length,
      sentBytes,
      arrivedBytes,
      agrees: allSucceeded ? sentBytes === arrivedBytes : null,
    };
  });
}

function isContent({ kind }: LoggedRequest): boolean {
  return kind === 'manifest' || kind === 'blob' || kind === 'storage';
}

/** The body of an error is no content of an image, and nobody counts it as such. */
function isError({ status }: LoggedRequest): boolean {
  return status !== null && status >= 300;
}

/** A pull that joined another one reports the bytes of that one: they arrived once. */
function arrivedBytes(events: readonly PullEvent[]): ReadonlyMap<string, number> {
  const joined = new Set(events.flatMap((event) => (event.type === 'pull:joined' ? [event.pullId] : [])));
  const sums = new Map<string, number>();
  for (const event of events) {
    if (event.type !== 'pull:succeeded' || joined.has(event.pullId)) continue;
    for (const { registry, bytes } of event.report.served) sums.set(registry, (sums.get(registry) ?? 0) + bytes);
  }
  return sums;
}
