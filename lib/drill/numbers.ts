import type { Measurements } from './measure.js';

/** One line of "by the numbers". */
export interface NumberRow {
  readonly what: string;
  /** On 26 July 2017; null where nobody counted. */
  readonly in2017: string | null;
  /** In this drill, as measured. */
  readonly inDrill: string;
}

/** What is measured beside the events. */
export interface DrillMeasurements extends Measurements {
  /** From the first registry's recovery until its last circuit closed; null when one never did. */
  readonly healMs: number | null;
  /** Images read back from disk that are whole and right, and all of them. */
  readonly imagesRight: number;
  readonly imagesRead: number;
  /** Databases that were to be started in an engine, and those that have answered. */
  readonly databasesAsked: number;
  readonly databasesAnswered: number;
}

/** Sets what was measured beside what the outage of 2017 cost. */
export function compareWith2017(measured: DrillMeasurements): readonly NumberRow[] {
  const { provisioned, failed } = measured;
  const ofAll = (kind: string): string => `${failed[kind] ?? 0} of ${(failed[kind] ?? 0) + (provisioned[kind] ?? 0)}`;
  const [longest = 0] = measured.failoverMs;
  return [
    { what: 'database operations failed', in2017: '2', inDrill: ofAll('database') },
    { what: 'app operations failed', in2017: '3', inDrill: ofAll('app') },
    { what: 'time to fail over', in2017: '26 min', inDrill: `${seconds(longest)} at most` },
    { what: 'operators switching by hand', in2017: '10 to 30 min', inDrill: `${measured.resumedByHand} times` },
    {
      what: 'failures blamed on a host',
      in2017: '1, for 16 min',
      inDrill: `${measured.hostBlamed} of ${measured.failedAttempts}`,
    },
    { what: 'images found not replicated', in2017: '2', inDrill: String(measured.missingImages.length) },
    {
      what: 'operations that needed those',
      in2017: 'failed or waited',
      inDrill: `${measured.parkedOperations} waited, ${ofAll('build')} failed`,
    },
    { what: 'bytes fetched twice', in2017: null, inDrill: share(measured.bytesTwice, measured.bytesFetched) },
    {
      what: 'back on the first registry',
      in2017: 'next day, by hand',
      inDrill: measured.healMs === null ? 'not yet' : `${seconds(measured.healMs)}, by itself`,
    },
    { what: 'images whole and right', in2017: null, inDrill: `${measured.imagesRight} of ${measured.imagesRead}` },
    {
      what: 'databases that answer a PING',
      in2017: null,
      inDrill:
        measured.databasesAsked === 0
          ? 'no engine here'
          : `${measured.databasesAnswered} of ${measured.databasesAsked}`,
    },
  ];
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

function share(bytes: number, of: number): string {
  return `${(bytes / 1e6).toFixed(3)} of ${(of / 1e6).toFixed(1)} MB`;
}
