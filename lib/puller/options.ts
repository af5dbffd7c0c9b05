import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { parseHealthOptions, type HealthOptions, type HealthSettings } from '../health/health-options.js';
import { parseTransferOptions, type TransferOptions, type TransferSettings } from '../failover/transfer-options.js';
import { parsePlatform, type Platform } from '../image/platform.js';
import { openOptionBag, type OptionBag } from '../policy/option-bag.js';
import { parseCredentials } from '../registries/credential-source.js';
import type { CredentialsOption, CredentialSource } from '../registries/credentials.js';
import type { DaemonCertificates } from '../registries/daemon-certificates.js';
import type { RegistryOptions } from '../registries/registry.js';
import {
  parseReplicaSets,
  type ReplicaSetOptions,
  type ReplicaSets,
  type Unlisted,
} from '../registries/replica-set.js';
import type { Operation } from '../vocabulary/operation.js';
import { DefaultEngine, parseEngine, type PullEngine } from './pull-engine.js';
import {
  parsePolicyLevel,
  policyKeys,
  resolvePolicy,
  type KindOptions,
  type PolicyLevel,
  type PolicyOptions,
} from './pull-policy.js';

/** What a puller is made of. Unknown keys, contradictions and values out of range throw `InvalidOptionError`. */
export interface PullerOptions extends PolicyOptions {
  /**
   * Where images go: `dockerEngine()` or `ociLayout('./images')`; it is not closed with the puller. Default: Docker, where
   * its own client would find it.
   */
  readonly engine?: PullEngine;
  /** One replica set, in order of priority: prefixes such as `quay.io/team`, or objects with more to say. */
  readonly registries?: readonly (string | RegistryOptions)[];
  /** Several replica sets, instead of `registries`. With neither, each image is pulled from its own registry. */
  readonly replicaSets?: readonly ReplicaSetOptions[];
  /** What to do with an image outside every set; default `'own-registry'`. */
  readonly unlisted?: Unlisted;
  /** Policies per kind of operation, by `operation.kind`. */
  readonly operations?: Readonly<Record<string, KindOptions>>;
  /** When a circuit opens, and for how long. */
  readonly health?: HealthOptions;
  /** How parked pulls go on. */
  readonly parking?: ParkingOptions;
  /** How bytes are moved: over how many connections, with how much memory, and from whom. */
  readonly transfer?: TransferOptions;
  /**
   * Decides by the host in an image's name (`quay.io`, `10.0.0.5:5000`) whether it may be pulled at all: for names that
   * tenants give. Anything but `true` is an `ImageRefusedError`. Default: every host may.
   */
  readonly allowHost?: (host: string) => boolean;
  /**
   * `os/architecture[/variant]`; default that of the daemon an image goes to, and for layouts linux on this process's
   * architecture.
   */
  readonly platform?: string;
  /**
   * A directory in which the digests of tags survive a restart, made when it is first needed; processes may share it.
   * A disk that fails there fails no pull. Default: they are remembered as long as the puller lives.
   */
  readonly stateDir?: string;
  /**
   * A JSON file of operators' switches, declarative and watched: what it says is in force, on pulls under way too, and what
   * it says no more ends. A broken one is refused with `operator:changed`, and the last good one stays. It need not exist.
   */
  readonly controlFile?: string;
}

/** How parked pulls go on. */
export interface ParkingOptions {
  /**
   * So many of them try again at the same time at most, the oldest first; default 8, `Infinity` is allowed. One that was
   * promoted does not wait for the others.
   */
  readonly resumeAtOnce?: number;
}

/** What one pull says beside the image. */
export interface PullOptions extends KindOptions {
  /** What the host is doing; carried by every event. */
  readonly operation?: Operation;
  /** Where the image goes; default the puller's. */
  readonly engine?: PullEngine;
  /** `os/architecture[/variant]`; default the puller's. */
  readonly platform?: string;
  /** Instead of the registry's own; bound to the image's own registry: no other host ever sees them. */
  readonly credentials?: CredentialsOption;
  /** Ends the pull; its reason is rethrown as it is. */
  readonly signal?: AbortSignal;
}

/** `PullerOptions`, checked. */
export interface PullerSettings {
  readonly engine: PullEngine | null;
  /** Where images go that neither the puller nor the pull has an engine for. */
  readonly defaultEngine: DefaultEngine;
  readonly replicaSets: ReplicaSets;
  readonly policy: PolicyLevel;
  readonly kinds: ReadonlyMap<string, PolicyLevel>;
  readonly health: HealthSettings;
  readonly transfer: TransferSettings;
  readonly allowHost: (host: string) => boolean;
  /** Null: what the engine of the pull itself would choose. */
  readonly platform: Platform | null;
  readonly stateDir: string | null;
  readonly controlFile: string | null;
  readonly resumeAtOnce: number;
}

/** Half of the connections of a process: a registry that has just come back sees no more, and the pulls no queue. */
const defaultResumeAtOnce = 8;

/** `PullOptions`, checked. */
export interface PullSettings {
  readonly operation: Operation | null;
  readonly engine: PullEngine;
  /** Null: what the engine itself would choose. */
  readonly platform: Platform | null;
  readonly credentials: CredentialSource | null;
  readonly policy: PolicyLevel;
  readonly signal: AbortSignal | null;
}

const pullerKeys = [
  'engine',
  'registries',
  'replicaSets',
  'unlisted',
  'operations',
  'health',
  'transfer',
  'allowHost',
  'platform',
  'stateDir',
  'controlFile',
  'parking',
  ...policyKeys,
] as const satisfies readonly (keyof PullerOptions)[];

const pullKeys = [
  'operation',
  'engine',
  'platform',
  'credentials',
  'signal',
  'order',
  ...policyKeys,
] as const satisfies readonly (keyof PullOptions)[];

/**
 * @param certificates by which registries are recognised whose options say nothing; default: those of Docker's daemon
 * @throws InvalidOptionError
 */
export function parsePullerOptions(options: PullerOptions, certificates?: DaemonCertificates): PullerSettings {
  const bag = openOptionBag('', options, pullerKeys);
  const replicaSets = parseReplicaSets({
    registries: bag.raw('registries'),
    replicaSets: bag.raw('replicaSets'),
    unlisted: bag.raw('unlisted'),
    ...(certificates === undefined ? {} : { certificates }),
  });
  const known = replicaSets.registries.map(({ prefix }) => prefix);
  const policy = parsePolicyLevel(bag, known);
  const parking = bag.bag('parking', ['resumeAtOnce']);
  const kinds = parseKinds(bag, known);
  // A kind that contradicts what holds for all is told now, not at its first pull.
  for (const kind of kinds.values()) resolvePolicy([policy, kind]);
  return {
    engine: parseEngine(bag),
    defaultEngine: new DefaultEngine(),
    replicaSets,
    policy,
    kinds,
    health: parseHealthOptions(bag.raw('health'), 'health'),
    transfer: parseTransferOptions(bag),
    allowHost: (bag.callback('allowHost') as ((host: string) => boolean) | undefined) ?? (() => true),
    platform: parsePlatformOption(bag),
    stateDir: bag.string('stateDir') ?? null,
    controlFile: bag.string('controlFile') ?? null,
    resumeAtOnce: parking.integer('resumeAtOnce', { min: 1, infinity: true }) ?? defaultResumeAtOnce,
  };
}

/** @throws InvalidOptionError */
export function parsePullOptions(options: PullOptions, puller: PullerSettings, ownHost: string): PullSettings {
  const bag = openOptionBag('', options, pullKeys);
  const signal = bag.raw('signal');
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new InvalidOptionError('signal', 'must be an AbortSignal');
  }
  return {
    operation: parseOperation(bag),
    engine: parseEngine(bag) ?? puller.engine ?? puller.defaultEngine.get(),
    platform: parsePlatformOption(bag) ?? puller.platform,
    credentials: bag.has('credentials') ? parseCredentials(bag.raw('credentials'), 'credentials', ownHost) : null,
    policy: parsePolicyLevel(
      bag,
      puller.replicaSets.registries.map(({ prefix }) => prefix),
    ),
    signal: signal ?? null,
  };
}

function parsePlatformOption(bag: OptionBag): Platform | null {
  const text = bag.string('platform');
  return text === undefined ? null : parsePlatform(text);
}

/** Reads what the host is doing, if it says so. @throws InvalidOptionError */
export function parseOperation(bag: OptionBag): Operation | null {
  if (!bag.has('operation')) return null;
  const operation = bag.bag('operation', ['kind', 'id']);
  const kind = operation.string('kind');
  if (kind === undefined) throw new InvalidOptionError('operation.kind', 'is missing');
  const id = operation.string('id');
  return { kind, ...(id === undefined ? {} : { id }) };
}

function parseKinds(bag: OptionBag, known: readonly string[]): ReadonlyMap<string, PolicyLevel> {
  const raw = bag.raw('operations');
  if (raw === undefined) return new Map();
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    throw new InvalidOptionError('operations', 'must be an object with one key per kind of operation');
  }
  return new Map(
    Object.entries(raw).map(([kind, options]) => [
      kind,
      parsePolicyLevel(openOptionBag(`operations.${kind}`, options, ['order', ...policyKeys]), known),
    ]),
  );
}
