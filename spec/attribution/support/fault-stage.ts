import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { NameResolver } from '../../../lib/distribution/name-lookup.js';
import { ociLayout } from '../../../lib/engine/layout/oci-layout.js';
import { isHostFaultError } from '../../../lib/errors/host-fault-error.js';
import { isPullExhaustedError } from '../../../lib/errors/pull-exhausted-error.js';
import { createEventBus } from '../../../lib/events/event-bus.js';
import { explainFailure } from '../../../lib/health/explain-failure.js';
import { createPullerIn } from '../../../lib/puller/create-puller.js';
import type { PullerOptions, PullOptions } from '../../../lib/puller/options.js';
import type { Puller } from '../../../lib/puller/puller.js';
import { fastTimeouts } from '../../../lib/testing/fast-timeouts.js';
import {
  startRegistryDouble,
  type RegistryDouble,
  type RegistryDoubleOptions,
} from '../../../lib/testing/registry-double.js';
import type { RegistryPhase } from '../../../lib/vocabulary/phase.js';
import type { Cause, ReasonCode, Verdict } from '../../../lib/vocabulary/reason.js';

/** What a pull is to be tried with, a fault in its way. */
export interface StagedFault {
  readonly image: string;
  /** In the order of the replica set. */
  readonly registries: NonNullable<PullerOptions['registries']>;
  readonly options?: PullerOptions;
  readonly pullOptions?: PullOptions;
  readonly resolve?: NameResolver;
  /** Before the first pull. */
  readonly onPuller?: (puller: Puller) => void;
  /** After each pull. */
  readonly afterPull?: () => Promise<void>;
}

/** One thing that failed, as it was judged. */
export type Judged = readonly [cause: Cause, code: ReasonCode, verdict: Verdict];

/** What became of the last of the pulls. */
export interface AttributedPull {
  /** What its registries failed with, each judgement once, in the order in which they came. */
  readonly seen: readonly Judged[];
  /** Circuits that are not closed: the place of the registry in the list, and the phase. */
  readonly opened: readonly (readonly [registry: number, phase: RegistryPhase])[];
  readonly end: 'served' | 'exhausted' | 'host-fault' | 'other';
  /** In a sentence; empty where it was served. */
  readonly explained: string;
}

/** What faults are staged with: all of it is gone after the test. */
export interface FaultStage {
  readonly directory: string;
  registry(options?: RegistryDoubleOptions): Promise<RegistryDouble>;
  /** What is closed after the test, the last one first. */
  closing<T extends { close(): Promise<void> | void }>(opened: T): T;
  /** Sets a variable of the environment for this test. */
  env(name: string, value: string): void;
}

export function useFaultStage(): FaultStage {
  let directory = '';
  let closers: (() => Promise<void> | void)[] = [];
  const stage: FaultStage = {
    get directory() {
      return directory;
    },
    registry: async (options = {}) => stage.closing(await startRegistryDouble(options)),
    closing: (opened) => {
      closers.push(() => opened.close());
      return opened;
    },
    env: (name, value) => {
      const before = process.env[name];
      process.env[name] = value;
      closers.push(() => {
        if (before === undefined) delete process.env[name];
        else process.env[name] = before;
      });
    },
  };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pull-failover-attribution-'));
    closers = [];
    // The credentials of whoever runs the specs are none of their business.
    stage.env('DOCKER_CONFIG', join(directory, 'docker-config'));
  });
  afterEach(async () => {
    for (const close of closers.toReversed()) await close();
    await rm(directory, { recursive: true, force: true });
  });
  return stage;
}

/**
 * Pulls as often as asked, each time into a layout of its own unless the options name an engine. One ill pull opens a
 * circuit, and nothing that is late is asked of somebody else: whatever is held against a registry shows.
 */
export async function attributionOf(stage: FaultStage, staged: StagedFault, pulls: number): Promise<AttributedPull> {
  const { image, registries, options = {}, pullOptions = {}, resolve, onPuller, afterPull } = staged;
  const engines = Array.from({ length: pulls }, (_, n) => ociLayout(join(stage.directory, `images-${n}`)));
  const puller = createPullerIn(
    { bus: createEventBus(), ...(resolve === undefined ? {} : { resolve }) },
    {
      registries,
      timeouts: fastTimeouts,
      health: { consecutiveFailures: 1 },
      transfer: { hedge: { metadataMs: Infinity, layersMs: Infinity } },
      ...options,
    },
  );
  try {
    onPuller?.(puller);
    let last: AttributedPull | null = null;
    for (const engine of engines) {
      const pulled = puller.pullWithFailover(image, {
        ...(options.engine === undefined ? { engine } : {}),
        ...pullOptions,
      });
      last = await pulled.then(
        ({ attempts }) => ({
          seen: judgedOf(attempts),
          end: 'served',
          explained: '',
          opened: openedIn(puller, registries),
        }),
        (error: unknown) => ({ ...failureIn(error), opened: openedIn(puller, registries) }),
      );
      await afterPull?.();
    }
    if (last === null) throw new Error('there was no pull');
    return last;
  } finally {
    await puller.close();
    await Promise.all(engines.map((engine) => engine.close()));
  }
}

function failureIn(error: unknown): Omit<AttributedPull, 'opened'> {
  const explained = explainFailure(error);
  expect(explained, 'one sentence').to.match(/^[^\n]+\.$/);
  if (isPullExhaustedError(error)) return { seen: judgedOf(error.attempts), end: 'exhausted', explained };
  if (!isHostFaultError(error)) return { seen: [], end: 'other', explained };
  const { cause, code } = error.reason;
  return { seen: [[cause, code, 'stop']], end: 'host-fault', explained };
}

function judgedOf(
  attempts: readonly {
    readonly reason: { readonly cause: Cause; readonly code: ReasonCode };
    readonly verdict: Verdict;
  }[],
): readonly Judged[] {
  const judged = attempts.map(({ reason, verdict }): Judged => [reason.cause, reason.code, verdict]);
  return judged.filter((each, n) => judged.findIndex((other) => other.join() === each.join()) === n);
}

function openedIn(puller: Puller, registries: StagedFault['registries']): AttributedPull['opened'] {
  const prefixes = registries.map((registry) => (typeof registry === 'string' ? registry : registry.prefix));
  return puller
    .health()
    .filter(({ state }) => state !== 'closed')
    .map(({ registry, phase }) => [prefixes.indexOf(registry), phase] as const);
}
