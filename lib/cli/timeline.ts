import type { PullEvent } from '../events/pull-event.js';
import type { PullReport, Served } from '../vocabulary/report.js';
import { showBytes, showCount, showMs } from './amounts.js';
import { bad, dim, good, type Line, warning } from './line.js';

/** What people call things. */
export interface Names {
  registry(prefix: string): string;
  image(name: string): string;
  /** A sentence that may hold prefixes. */
  sentence(text: string): string;
}

/** Everything is called what it is. */
export const plainNames: Names = {
  registry: (prefix) => prefix,
  image: (name) => name,
  sentence: (text) => text,
};

/** What a person wants to know of an event, in one line; null when nothing. */
export function describeEvent(event: PullEvent, names: Names): Line | null {
  const { registry, image, sentence } = names;
  switch (event.type) {
    case 'pull:started':
      return [
        `${image(event.image)} on ${event.engine}`,
        dim(event.operation === null ? '' : ` (${event.operation.kind})`),
      ];
    case 'pull:joined':
      return [dim('joined the same pull, which is under way')];
    case 'pull:planned':
      return event.replicaSet === null
        ? [
            warning('is in no replica set: it is asked for at '),
            event.candidates.map((each) => registry(each.registry)).join(', '),
            ' alone',
          ]
        : null;
    case 'pull:failed-over':
      return [
        warning('failed over'),
        ` ${event.phase} from ${registry(event.from)} to ${registry(event.to)}`,
        dim(
          `${event.bytesKept >= 1_000 ? `, ${showBytes(event.bytesKept)} kept` : ''}: ${sentence(event.reason.message)}`,
        ),
      ];
    case 'pull:route-changed':
      return [
        warning('changed the route'),
        ` from ${event.from} to ${event.to}`,
        dim(`: ${sentence(event.reason.message)}`),
      ];
    case 'pull:parked':
      return [
        warning('parked'),
        ' until a registry can serve it',
        dim(event.reason === null ? '' : `: ${sentence(event.reason.message)}`),
      ];
    case 'pull:resumed':
      return [`goes on after ${showMs(event.parkedMs)} (${event.why.replaceAll('-', ' ')})`];
    case 'pull:served-from-cache':
      return [warning('served from the cache'), dim(` (${event.why})`)];
    case 'pull:succeeded':
      return [good('✓'), ` in ${showMs(event.report.timings.totalMs)}: ${describeSources(event.report, names)}`];
    case 'pull:failed':
      return [bad('✗ failed'), `: ${sentence(event.error.message)}`];
    case 'pull:aborted':
      return [warning('ended by the caller')];
    case 'replica:missing':
      return [warning('missing'), ` at ${registry(event.registry)}: ${shortObject(event.object)}`];
    case 'replica:diverged':
      return [
        warning('diverged'),
        ` at ${registry(event.registry)}: ${shortObject(event.digest)} instead of ${shortObject(event.expected)}`,
      ];
    case 'replica:repackaged':
      return [warning('repackaged'), ` at ${registry(event.registry)}: the same image in other layers, and it is used`];
    case 'tag:resolved-by-replica':
      return [dim(`${registry(event.registry)} says what the tag means (${event.resolution.replaceAll('-', ' ')})`)];
    case 'registry:credentials-rejected':
      return [warning('credentials rejected'), ` at ${registry(event.registry)}: ${sentence(event.reason.message)}`];
    case 'circuit:opened':
      return [
        bad('circuit opened'),
        ` ${registry(event.registry)} × ${event.phase}`,
        dim(': it is asked last from now on'),
      ];
    case 'circuit:half-opened':
      return [dim(`circuit half-open ${registry(event.registry)} × ${event.phase}: it is being tried`)];
    case 'circuit:closed':
      return [good('circuit closed'), ` ${registry(event.registry)} × ${event.phase}`, dim(': it is well again')];
    case 'registry:probed':
      return [dim(`probed ${registry(event.registry)} × ${event.phase}: ${event.outcome}`)];
    case 'operator:changed':
      return [warning('operator'), `: ${event.message}`];
    case 'incident:opened':
      return [bad('incident'), dim(` ${event.incidentId} begins`)];
    case 'incident:closed':
      return [good('incident'), dim(` ${event.incidentId} is over after ${showMs(event.durationMs)}`)];
    case 'phase:started':
    case 'phase:ended':
    case 'pull:progressed':
    case 'registry:failed':
      return null;
  }
}

/** From whom an image came: `2.0 MB from quay.io, 4.6 MB from docker.io (1 hedge won, 64.0 kB of no use)`. */
export function describeSources(report: PullReport, names: Names): string {
  const { bytes, served } = report;
  const parts = [
    ...(bytes.local > 0 ? [`${showBytes(bytes.local)} were here`] : []),
    ...(bytes.kept > 0 ? [`${showBytes(bytes.kept)} kept from before`] : []),
    ...served.map((one) => `${showBytes(one.bytes)} from ${names.registry(one.registry)}${describeEffort(one)}`),
  ];
  return parts.length === 0 ? 'nothing had to be fetched' : parts.join(', ');
}

/** What was asked twice for it; nothing on a day without faults. */
function describeEffort({ hedges, wastedBytes }: Served): string {
  const parts = [
    ...(hedges.won > 0 ? [`${showCount(hedges.won, 'hedge')} won`] : []),
    ...(hedges.lost > 0 ? [`${showCount(hedges.lost, 'hedge')} lost`] : []),
    ...(wastedBytes > 0 ? [`${showBytes(wastedBytes)} of no use`] : []),
  ];
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`;
}

/** Enough of a digest to find it again. */
export function shortObject(object: string): string {
  return /^(sha\d+:[a-f0-9]{12})[a-f0-9]+$/.exec(object)?.[1] ?? object;
}
