export type { DigestAlgorithm } from '../image/digest.js';
export type {
  BodyTrouble,
  ConnectionTrouble,
  ContentCoding,
  ExchangeTrouble,
  Fault,
  FaultGroup,
  FaultPosition,
  FaultScope,
  LayersTrouble,
  MetadataTrouble,
  PingTrouble,
  RedirectTrouble,
  StatusTrouble,
  TokenTrouble,
} from './fault.js';
export {
  connection,
  type ConnectionFaults,
  type ContentFaults,
  type CutFaults,
  type ExchangeFaults,
  layers,
  type LayersFaults,
  metadata,
  type MetadataFaults,
  ping,
  token,
  type TokenFaults,
} from './fault-groups.js';
export type { ByteRange } from './byte-range.js';
export { fastTimeouts } from './fast-timeouts.js';
export { type FaultProxy, type FaultProxyOptions, startFaultProxy } from './fault-proxy.js';
export type { FaultServer, FaultServerOptions, RedirectOptions } from './fault-server.js';
export { parseFault } from './parse-fault.js';
export type { Bandwidth } from './link.js';
export type { ServerTls } from './origin.js';
export {
  type ExhaustOptions,
  type FailOverOptions,
  type MishapOptions,
  type PullEnd,
  type PullHold,
  type PullMiddle,
  pulls,
  type PullScript,
  type PullScripts,
  type PullStep,
  type RegistryFailsOptions,
  type RegistryMishap,
  type ServedOptions,
  type SucceedOptions,
} from './pull-script.js';
export { createPullerDouble, type PullCall, type PullerDouble, type ScriptOptions } from './puller-double.js';
export { pushImage, type PushOptions } from './push-image.js';
export type { RegistryAuth, TestUser } from './registry-auth.js';
export { type RegistryDouble, type RegistryDoubleOptions, startRegistryDouble } from './registry-double.js';
export type { LoggedRequest, RequestKind } from './request-log.js';
export { divergedFrom, repackage, seededImage, type SeededImageOptions } from './seeded-image.js';
export type { Violation, ViolationRule } from './strictness.js';
export type { TestBlob, TestDocument, TestImage, TestManifest } from './test-image.js';
