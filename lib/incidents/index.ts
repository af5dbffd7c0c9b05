export type {
  AffectedOperation,
  CircuitStep,
  FailoverTally,
  FailureTally,
  Incident,
  KindTotals,
  LeftOut,
  OperationOutcome,
  OperatorStep,
  OutcomeCounts,
  RegistryThroughput,
  SavedBy,
  Throughput,
} from './incident.js';
export { readIncident } from './read-incident.js';
export { type IncidentFormat, renderIncident } from './render-incident.js';
