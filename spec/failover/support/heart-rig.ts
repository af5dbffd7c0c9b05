import { setMaxListeners } from 'node:events';
import { createRegistryClient } from '../../../lib/distribution/client.js';
import { createTransport, type Transport } from '../../../lib/distribution/transport.js';
import type { Candidate } from '../../../lib/failover/candidate.js';
import type { HeartContext } from '../../../lib/failover/context.js';
import type { HeartObserver } from '../../../lib/failover/heart-observer.js';
import { HedgeGate, type HedgeSettings } from '../../../lib/failover/hedge.js';
import { HedgeBytes } from '../../../lib/failover/hedge-bytes.js';
import { Sources } from '../../../lib/failover/sources.js';
import { ConnectionRamps } from '../../../lib/failover/transfer.js';
import { FixedRamps } from './fixed-ramps.js';
import { createTransferBudget, type TransferBudget } from '../../../lib/failover/transfer-budget.js';
import { parseTransferOptions, type TransferOptions } from '../../../lib/failover/transfer-options.js';
import { openOptionBag } from '../../../lib/policy/option-bag.js';
import { resolveLimits, type Timeouts } from '../../../lib/policy/limits.js';
import { anonymous } from '../../../lib/registries/credential-source.js';
import { parseRegistry, type RegistryOptions } from '../../../lib/registries/registry.js';
import {
  type Fault,
  fastTimeouts,
  type RegistryDouble,
  type RegistryDoubleOptions,
  seededImage,
  startRegistryDouble,
  type TestImage,
} from '../../../lib/testing/index.js';
import { until } from '../../support/until.js';

/** Everything the heart told, each with what it was told of. */
export type Told = {
  readonly [Name in keyof HeartObserver]: {
    readonly what: Name;
    readonly of: Parameters<HeartObserver[Name]>;
  };
}[keyof HeartObserver];

/** An observer that writes everything down. */
export interface Notebook {
  readonly observer: HeartObserver;
  readonly told: readonly Told[];
  of<Name extends keyof HeartObserver>(name: Name): readonly Parameters<HeartObserver[Name]>[];
}

export function openNotebook(): Notebook {
  const told: Told[] = [];
  const note =
    <Name extends keyof HeartObserver>(what: Name) =>
    (...of: Parameters<HeartObserver[Name]>): void => {
      told.push({ what, of } as unknown as Told);
    };
  return {
    told,
    of: <Name extends keyof HeartObserver>(name: Name) =>
      told.filter(({ what }) => what === name).map(({ of }) => of as Parameters<HeartObserver[Name]>),
    observer: {
      attemptFailed: note('attemptFailed'),
      failedOver: note('failedOver'),
      bytesArrived: note('bytesArrived'),
      bytesKept: note('bytesKept'),
      ill: note('ill'),
      limited: note('limited'),
      waiting: note('waiting'),
      waited: note('waited'),
      doubted: note('doubted'),
      replicaMissing: note('replicaMissing'),
      replicaDiverged: note('replicaDiverged'),
      replicaRepackaged: note('replicaRepackaged'),
      tagResolvedByReplica: note('tagResolvedByReplica'),
    },
  };
}

/** The names under which the registries of a rig are spoken of. */
export type Name = 'A' | 'B' | 'C' | 'D';
const names: readonly Name[] = ['A', 'B', 'C', 'D'];

/** One registry of a rig: a double of its own, or whatever answers at `host`. */
export type RigRegistry = Omit<RegistryDoubleOptions, 'images'> & {
  readonly host?: string;
  /** Default: the rig's image. */
  readonly image?: TestImage | null;
  readonly images?: Readonly<Record<string, TestImage>>;
  readonly resolves?: boolean;
  readonly options?: Omit<RegistryOptions, 'prefix' | 'resolves'>;
};

export interface HeartRigOptions {
  /** In the order of the plan; an array of faults is a registry with these. */
  readonly registries: readonly (RigRegistry | readonly Fault[])[];
  /** What all of them hold as `team/app:1` unless they say otherwise. */
  readonly image?: TestImage;
  /** Default: `fastTimeouts`. */
  readonly timeouts?: Timeouts;
  /** Default: never. */
  readonly hedge?: HedgeSettings;
  /** Default: a puller's own, but for hedges. */
  readonly transfer?: Omit<TransferOptions, 'hedge'>;
  /** For each blob and registry, however fast the link is; default: as many as prove to be of use. */
  readonly connections?: number;
  readonly maxRetryAfterMs?: number;
}

/** The heart of one puller, before registries that fail. */
export interface HeartRig {
  readonly image: TestImage;
  readonly doubles: readonly RegistryDouble[];
  readonly candidates: readonly Candidate[];
  readonly transport: Transport;
  readonly hedge: HedgeGate;
  readonly budget: TransferBudget;
  /** A pull of its own: its own view of the registries, its own signal. */
  openPull(): HeartPull;
  /** `A` for the first registry's prefix, and so on. */
  nameOf(registry: string): Name;
  double(name: Name): RegistryDouble;
  /** Ends what outlives a pull. */
  end(): void;
}

/** One pull of a rig. */
export interface HeartPull extends Notebook {
  readonly context: HeartContext;
  readonly sources: Sources;
  readonly abort: (reason: unknown) => void;
  /** `A registry-storage/stalled ill` for each attempt, in the order tried. */
  readonly attempts: readonly string[];
  /** Who turned out ill: `A layers`. */
  readonly ill: readonly string[];
}

interface Opened {
  readonly transport: Transport;
  readonly doubles: readonly RegistryDouble[];
  readonly ending: AbortController;
}
const opened: Opened[] = [];
let pulls = 0;

export const smallImage: TestImage = seededImage({ bytes: 100_000, seed: 'heart' });

export async function openHeartRig(options: HeartRigOptions): Promise<HeartRig> {
  const image = options.image ?? smallImage;
  const registries = options.registries.map((registry): RigRegistry =>
    isFaults(registry) ? { faults: registry } : registry,
  );
  const places = await Promise.all(
    registries.map(async ({ host, image: own = image, images, resolves: _, options: __, ...double }) => {
      if (host !== undefined) return { host, double: null };
      const started = await startRegistryDouble({
        ...double,
        images: images ?? (own === null ? {} : { 'team/app:1': own }),
      });
      return { host: started.host, double: started };
    }),
  );
  const doubles = places.flatMap(({ double }) => (double === null ? [] : [double]));
  const transport = createTransport();
  const ending = new AbortController();
  setMaxListeners(0, ending.signal);
  opened.push({ transport, doubles, ending });
  const authority = registries.findIndex(({ resolves }) => resolves !== false);
  const candidates = places.map(({ host: prefix }, index): Candidate => {
    const { resolves = true, options: registryOptions = {} } = registries[index] ?? {};
    const registry = parseRegistry({ prefix, ...registryOptions }, 'registries[0]', {
      dockerConfig: { credentials: () => anonymous },
    });
    return {
      registry: registry.prefix,
      repository: 'team/app',
      resolves,
      isAuthority: index === authority,
      client: createRegistryClient(registry, transport),
    };
  });
  const hedging = options.hedge ?? { metadataMs: Infinity, layersMs: Infinity, budget: 0 };
  const hedge = new HedgeGate(hedging);
  const transfer = {
    ...parseTransferOptions(openOptionBag('', { transfer: options.transfer ?? {} }, ['transfer'])),
    hedge: hedging,
  };
  const budget = createTransferBudget(transfer);
  const ramps =
    options.connections === undefined
      ? new ConnectionRamps(transfer.connectionsPerBlob)
      : new FixedRamps(options.connections);
  const limits = resolveLimits([{ path: 'timeouts', timeouts: options.timeouts ?? fastTimeouts }]);
  const nameOf = (registry: string): Name => {
    const name = names[candidates.findIndex((candidate) => candidate.registry === registry)];
    if (name === undefined) throw new Error(`${registry} is not of this rig`);
    return name;
  };
  return {
    image,
    doubles,
    candidates,
    transport,
    hedge,
    budget,
    nameOf,
    double: (name) => {
      const double = places[names.indexOf(name)]?.double ?? null;
      if (double === null) throw new Error(`there is no ${name}`);
      return double;
    },
    end: () => ending.abort(new Error('the rig was ended')),
    openPull: () => {
      const notebook = openNotebook();
      const caller = new AbortController();
      const sources = new Sources({ metadata: candidates, layers: candidates }, notebook.observer);
      pulls += 1;
      return {
        ...notebook,
        sources,
        abort: (reason) => caller.abort(reason),
        context: {
          pullId: `pull-${pulls}`,
          image: 'registry.example/team/app:1',
          signal: caller.signal,
          outliving: ending.signal,
          limits,
          maxRetryAfterMs: options.maxRetryAfterMs ?? 10_000,
          sources,
          hedge,
          transfer: {
            settings: transfer,
            budget,
            ramps,
            claim: { kind: '', pullId: `pull-${pulls}` },
            hedgeBytes: new HedgeBytes(transfer.hedge.budget),
          },
          observer: notebook.observer,
        },
        get attempts() {
          return sources.attempts.map(
            ({ registry, reason, verdict }) => `${nameOf(registry)} ${reason.cause}/${reason.code} ${verdict}`,
          );
        },
        get ill() {
          return notebook.of('ill').map(([registry, phase]) => `${nameOf(registry)} ${phase}`);
        },
      };
    },
  };
}

/** Closes everything opened since the last call; throws when anything stayed open. */
export async function closeHeartRigs(): Promise<void> {
  for (const { transport, doubles, ending } of opened.splice(0)) {
    ending.abort(new Error('the spec is over'));
    await transport.close();
    if (transport.openSockets !== 0) throw new Error(`${transport.openSockets} sockets were left open`);
    await Promise.all(doubles.map((double) => double.close()));
  }
}

/** Waits until no request of these registries is being answered: whatever the heart has left has ended there too. */
export async function untilQuiet(doubles: readonly RegistryDouble[]): Promise<void> {
  await until(
    () => doubles.every(({ requests }) => requests.every(({ outcome }) => outcome !== 'open')),
    'every request has ended',
  );
}

function isFaults(registry: RigRegistry | readonly Fault[]): registry is readonly Fault[] {
  return Array.isArray(registry);
}
