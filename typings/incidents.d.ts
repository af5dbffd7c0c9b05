export {
  readIncident,
  renderIncident,
} from './api.js';
export type {
  AffectedOperation,
  CircuitStep,
  FailoverTally,
  FailureTally,
  Incident,
  IncidentFormat,
  KindTotals,
  LeftOut,
  OperationOutcome,
  OperatorStep,
  OutcomeCounts,
  RegistryThroughput,
  SavedBy,
  Throughput,
} from './api.js';
