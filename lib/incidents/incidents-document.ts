import { epochMs } from '../clock/time.js';
import { isOwner, ownerState } from '../files/process-owner.js';
import type { DocumentKind } from '../health/state-document.js';
import { isObject } from '../image/json-object.js';
import type { Incident } from './incident.js';
import { readIncident } from './read-incident.js';

/** An incident as it is kept. */
export interface KeptIncident {
  readonly incident: Incident;
  /** The process that writes it; null when none does any more. */
  readonly owner: string | null;
  /** When it was written last, in milliseconds since the epoch. */
  readonly savedAtMs: number;
}

/** Incidents by their id. */
export type KeptIncidents = ReadonlyMap<string, KeptIncident>;

/**
 * Whether the process that writes an incident lives cannot always be asked (it ran in another container). One that has
 * not written for so long, five times its longest interval, does not.
 */
const silentMs = 300_000;

/** How incidents are kept in `stateDir`. */
export const incidentsDocument: DocumentKind<KeptIncidents> = {
  name: 'incidents',
  empty: new Map(),
  format: (incidents) => ({ version: 1, incidents: [...incidents.values()] }),
  parse: (value) => {
    if (!isObject(value) || value['version'] !== 1 || !Array.isArray(value['incidents'])) {
      throw new TypeError('it is not version 1 of the incidents');
    }
    return new Map(value['incidents'].map(readKept).map((kept) => [kept.incident.id, kept]));
  },
};

function readKept(value: unknown): KeptIncident {
  if (!isObject(value)) throw new TypeError('an incident is not an object');
  const { incident, owner, savedAtMs } = value;
  if (owner !== null && !(typeof owner === 'string' && isOwner(owner))) throw new TypeError('an owner is malformed');
  if (typeof savedAtMs !== 'number') throw new TypeError('an incident lacks its time');
  // Written under a clock that was ahead: it must not win over everything that is written until then.
  return { incident: readIncident(incident), owner, savedAtMs: Math.min(savedAtMs, epochMs()) };
}

/** Whether nobody writes it any more. */
export function isAbandoned({ owner, savedAtMs }: KeptIncident): boolean {
  return owner === null || ownerState(owner) === 'dead' || epochMs() - savedAtMs > silentMs;
}
