import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ociLayout, type OciLayout } from '../engine/layout/oci-layout.js';
import {
  layersFirstByteMs,
  layersStallMs,
  layersWindowMs,
  metadataRequestMs,
  metadataTotalMs,
  type Timeouts,
} from '../policy/limits.js';
import { createPuller } from '../puller/create-puller.js';
import type { PullEngine } from '../puller/pull-engine.js';
import type { Puller } from '../puller/puller.js';
import type { Fault } from '../testing/fault.js';
import { layers } from '../testing/fault-groups.js';
import { startRegistryDouble, type RegistryDouble } from '../testing/registry-double.js';
import type { FoundDatabaseHost } from './database-host.js';
import { drillPlatform, makeDrillImages, namespace, type DrillImages } from './images.js';

/** A registry of the drill, and the one of 2017 that it stands for. */
export interface StandIn {
  /** What people call it: `quay.io`. */
  readonly name: string;
  /** Where it really is, and what events call it: `127.0.0.1:40001/aptible`. */
  readonly prefix: string;
  readonly double: RegistryDouble;
}

/** Everything that a drill runs on; nothing of it outlives `close()`. */
export interface Stage {
  /** In the order in which they are asked. */
  readonly standIns: readonly StandIn[];
  readonly images: DrillImages;
  readonly puller: Puller;
  /** The temporary directory of all layouts. */
  readonly directory: string;
  readonly layouts: readonly OciLayout[];
  /** The layout of a host; a new host begins with an empty one. */
  layoutOf(host: string): OciLayout;
  /** The engine for a database that is started and asked, or why there is none. */
  readonly databaseHost: FoundDatabaseHost;
  /** Where images for a host go. */
  engineOf(host: string): PullEngine;
  /** Puts other faults of the first registry in force; a sabotaged one keeps its own. */
  failFirst(faults: readonly Fault[]): Promise<void>;
  /** What an operation asks for, as its owner wrote it down: by the name at the first registry. */
  nameOf(image: string): string;
  /** Ends the puller and its layouts, so that what they have left open can be seen. */
  endPuller(): Promise<void>;
  close(): Promise<void>;
}

/** The drill's limits and cool-downs are the library's defaults, so many times shorter. */
export const drillSpeedUp = 5;

/** So that an image takes about a second, and a person can watch its bar. */
const bytesPerSecond = 8e6;

/** A round trip within one continent; on loopback there is none. */
const latencyMs = 15;

/** A cool-down of 15 s, 300 s at most, is right for an outage of hours; the drill has seconds. */
const coolDownMs = 3_000;

/** A parked operation waits for as long as the outage may take: a drill that needs it all has failed. */
const longestWaitMs = 45_000;

const timeouts: Timeouts = {
  metadata: { requestMs: metadataRequestMs / drillSpeedUp, totalMs: metadataTotalMs / drillSpeedUp },
  layers: {
    firstByteMs: layersFirstByteMs / drillSpeedUp,
    stallMs: layersStallMs / drillSpeedUp,
    windowMs: layersWindowMs / drillSpeedUp,
  },
};

/** What a stage is set with. */
export interface StageOptions {
  /** Every registry serves wrong bytes, so that the drill must fail. */
  readonly sabotaged: boolean;
  /** Ends with the stage. */
  readonly databaseHost: FoundDatabaseHost;
}

/** Sets the stage: two registries in this process, over real sockets, and a puller with one engine per host. */
export async function setStage({ sabotaged, databaseHost }: StageOptions): Promise<Stage> {
  const images = makeDrillImages();
  const database = 'missing' in databaseHost ? {} : { [databaseHost.imageName]: databaseHost.image };
  const close: (() => Promise<void>)[] = [];
  if (!('missing' in databaseHost)) close.push(() => databaseHost.close());
  try {
    const directory = await mkdtemp(join(tmpdir(), 'pull-failover-drill-'));
    close.push(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }));
    const start = async (name: string, held: Readonly<Record<string, (typeof images.replicated)[string]>>) => {
      const double = await startRegistryDouble({
        images: held,
        // As the two registries do it: tokens for everybody, bytes from a storage elsewhere.
        auth: { kind: 'bearer', anonymous: true },
        redirects: true,
        bandwidth: { totalBytesPerSecond: bytesPerSecond, latencyMs },
        faults: sabotaged ? [layers.wrongBytes({ atShare: 0.5 })] : [],
      });
      close.push(() => double.close());
      return { name, prefix: `${double.host}/${namespace}`, double };
    };
    const quay = await start('quay.io', { ...images.replicated, ...images.neverReplicated, ...database });
    const hub = await start('docker.io', { ...images.replicated, ...database });
    const standIns = [quay, hub];

    const puller = createPuller({
      // The drill is the same on every machine: it asks no credential helper of whoever runs it.
      registries: standIns.map(({ prefix }) => ({ prefix, credentials: 'none' as const })),
      platform: drillPlatform,
      timeouts,
      health: { coolDownMs, maxCoolDownMs: coolDownMs },
      operations: { build: { whenExhausted: { waitMs: longestWaitMs } } },
      deadlineMs: longestWaitMs * 2,
    });
    const layouts = new Map<string, OciLayout>();
    const layoutOf = (host: string): OciLayout => {
      const layout = layouts.get(host) ?? ociLayout(join(directory, host), { id: host });
      layouts.set(host, layout);
      return layout;
    };
    const endPuller = async (): Promise<void> => {
      await puller.close();
      await Promise.all([...layouts.values()].map((layout) => layout.close()));
    };
    close.push(endPuller);
    return {
      standIns,
      images,
      puller,
      directory,
      get layouts() {
        return [...layouts.values()];
      },
      layoutOf,
      databaseHost,
      engineOf: (host) =>
        !('missing' in databaseHost) && host === databaseHost.name ? databaseHost.engine : layoutOf(host),
      failFirst: async (faults) => {
        if (!sabotaged) await quay.double.setFaults(faults);
      },
      nameOf: (image) => `${quay.prefix}/${image}`,
      endPuller,
      close: () => closeAll(close),
    };
  } catch (error) {
    await closeAll(close);
    throw error;
  }
}

/** The last opened is closed first; what fails to close keeps nothing else open. */
async function closeAll(close: readonly (() => Promise<void>)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const step of close.toReversed()) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
