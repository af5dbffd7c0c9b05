export { configure, events, pullWithFailover } from './puller/default-puller.js';
export { createPuller } from './puller/create-puller.js';
export { withPullFailover, type PullFailoverOptions } from './drop-in/with-pull-failover.js';
export type { CloseOptions, Incidents, Puller } from './puller/puller.js';
export type { ParkingOptions, PullerOptions, PullOptions } from './puller/options.js';
export type { HedgeOptions, TransferOptions } from './failover/transfer-options.js';
export type { KindOptions, PolicyOptions, PullPolicy, WhenExhausted } from './puller/pull-policy.js';
export type { ExplainOptions, Explanation } from './puller/explain.js';
export type { ParkedPull, ParkedPulls } from './puller/park.js';
export { dockerEngine, type DockerEngine, type DockerEngineOptions } from './engine/docker/docker-engine.js';
export type { DialOptions, DockerLike } from './engine/docker/docker-like.js';
export type { PullEngine } from './puller/pull-engine.js';
export { ociLayout, type OciLayout, type OciLayoutOptions } from './engine/layout/oci-layout.js';
export type { BlobContext, BlobStore, Engine, WantedBlob } from './engine/engine.js';
export type { BlobSink } from './engine/blob-sink.js';
export type { NamedImage } from './engine/layout/index-document.js';
export type { Descriptor } from './image/descriptor.js';
export type { Platform } from './image/platform.js';
export type { Timeouts } from './policy/limits.js';
export type { RegistryOptions } from './registries/registry.js';
export type { ReplicaSetOptions, Unlisted } from './registries/replica-set.js';
export type {
  Credentials,
  CredentialsCallback,
  CredentialsOption,
  CredentialsRequest,
} from './registries/credentials.js';
export type { Pem } from './registries/tls-options.js';
export type { CircuitHealth } from './health/circuit.js';
export type { HealthOptions } from './health/health-options.js';
export type { BanOptions, ControlOptions, HoldOptions } from './health/control/control-options.js';
export type { ControlEntry, ControlState } from './health/control/control-entry.js';
export type { ControlHandle, OperatorControl } from './health/control/operator-control.js';
export { explainFailure } from './health/explain-failure.js';
export type { PullEventListener, PullEventName, PullEventNamed, PullEvents, WaitOptions } from './events/event-bus.js';
export type * from './events/pull-event.js';
export type { Control, ControlAct, ControlScope } from './vocabulary/control.js';
export type { Digest } from './vocabulary/digest.js';
export type { ErrorCode } from './vocabulary/error-code.js';
export type { Finding } from './vocabulary/finding.js';
export type { Operation } from './vocabulary/operation.js';
export type { Phase, RegistryPhase } from './vocabulary/phase.js';
export type { Cause, Reason, ReasonCode, Verdict } from './vocabulary/reason.js';
export type { Attempt, Failover, PullBytes, PullReport, PullTimings, Resolution, Served } from './vocabulary/report.js';
export type { Route } from './vocabulary/route.js';
export { EngineError, isEngineError } from './errors/engine-error.js';
export { HostFaultError, isHostFaultError } from './errors/host-fault-error.js';
export { ImageNotCachedError, isImageNotCachedError } from './errors/image-not-cached-error.js';
export { ImageRefusedError, isImageRefusedError } from './errors/image-refused-error.js';
export { InvalidOptionError, isInvalidOptionError } from './errors/invalid-option-error.js';
export { InvalidReferenceError, isInvalidReferenceError } from './errors/invalid-reference-error.js';
export { NotConfiguredError, isNotConfiguredError } from './errors/not-configured-error.js';
export { ParkCancelledError, isParkCancelledError } from './errors/park-cancelled-error.js';
export { PullDeadlineError, isPullDeadlineError } from './errors/pull-deadline-error.js';
export { PullExhaustedError, isPullExhaustedError, type PullExhaustedDetails } from './errors/pull-exhausted-error.js';
export { PullFailoverError, isPullFailoverError, type ErrorDetails } from './errors/pull-failover-error.js';
export { PullerClosedError, isPullerClosedError } from './errors/puller-closed-error.js';
export { ReplicaDivergedError, isReplicaDivergedError } from './errors/replica-diverged-error.js';
export { UnsupportedImageError, isUnsupportedImageError } from './errors/unsupported-image-error.js';
