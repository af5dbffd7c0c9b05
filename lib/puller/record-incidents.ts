import type { EventBus } from '../events/event-bus.js';
import { createIncidentRecorder } from '../incidents/incident-recorder.js';
import { incidentsDocument } from '../incidents/incidents-document.js';
import type { PullerParts } from './parts.js';
import type { Incidents } from './puller.js';

/** Writes the record of a puller's incidents from its events. */
export function recordIncidents(
  { circuits, store }: Pick<PullerParts, 'circuits' | 'store'>,
  bus: EventBus,
): { readonly incidents: Incidents; readonly close: () => Promise<void> } {
  const recorder = createIncidentRecorder({
    document: store.document(incidentsDocument),
    circuits: () => circuits.health(),
    onOpened: ({ id }, start) => bus.emit({ type: 'incident:opened', incidentId: id, ...start }),
    onClosed: ({ id, openedAtMs, closedAtMs }) =>
      bus.emit({ type: 'incident:closed', incidentId: id, durationMs: (closedAtMs ?? openedAtMs) - openedAtMs }),
  });
  const stopHearing = bus.tap((event) => recorder.observe(event));
  return {
    incidents: {
      current: () => recorder.current(),
      list: () => recorder.list(),
      load: () => recorder.load(),
    },
    close: async () => {
      stopHearing();
      await recorder.close();
    },
  };
}
