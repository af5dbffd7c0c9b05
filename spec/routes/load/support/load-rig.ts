import type Dockerode from 'dockerode';
import {
  dockerEngine,
  dockerParts,
  type DockerEngine,
  type DockerEngineOptions,
} from '../../../../lib/engine/docker/docker-engine.js';
import type { HeartContext } from '../../../../lib/failover/context.js';
import type { ImageTree } from '../../../../lib/failover/manifest/image-tree.js';
import { resolveImage } from '../../../../lib/failover/manifest/resolve-image.js';
import { SharedFetches } from '../../../../lib/failover/shared/shared-fetch.js';
import { parsePlatform } from '../../../../lib/image/platform.js';
import { parseReference } from '../../../../lib/image/reference.js';
import { Comeback } from '../../../../lib/routes/comeback.js';
import { startLoadRoute } from '../../../../lib/routes/load/load.js';
import type { Delivered, Delivery, RouteRun } from '../../../../lib/routes/route.js';
import type { Digest } from '../../../../lib/vocabulary/digest.js';
import type { HeartPull } from '../../../failover/support/heart-rig.js';
import { requireDockerd, requireNextRelease, startDockerd } from '../../../support/docker-engine.js';
import { requirePodman, startPodman } from '../../../support/podman-engine.js';
import type { RealEngine } from '../../../support/real-engine.js';

/** A kind of engine that images are loaded into. */
export interface EngineKind {
  readonly title: string;
  /** Skips the suite around it where there is none. */
  readonly require: () => void;
  readonly start: (options?: { readonly dataRootBytes?: number }) => Promise<RealEngine>;
}

const installed: EngineKind = {
  title: 'Docker with the classic store',
  require: requireDockerd,
  start: (options = {}) => startDockerd({ store: 'graph', ...options }),
};
/** Differs from the installed one by its version alone: only what is said of it is tried on it. */
export const nextClassic: EngineKind = {
  title: 'the next Docker with the classic store',
  require: requireNextRelease,
  start: (options = {}) => startDockerd({ store: 'graph', release: 'next', ...options }),
};
const nextContainerd: EngineKind = {
  title: 'the next Docker with the containerd store',
  require: requireNextRelease,
  start: (options = {}) => startDockerd({ store: 'containerd', ...options }),
};
const podman: EngineKind = {
  title: 'Podman',
  require: requirePodman,
  start: (options = {}) => startPodman(options),
};

/** One engine of each store. */
export const engineKinds: Readonly<Record<'installed' | 'nextContainerd' | 'podman', EngineKind>> = {
  installed,
  nextContainerd,
  podman,
};

/** What one load is asked for. */
export interface LoadRequest {
  /** Default `registry.example/team/app:1`. */
  readonly reference?: string;
  /** Default `linux/amd64`. */
  readonly platform?: string;
  readonly shared?: SharedFetches;
  /** Replaces parts of the pull's own. */
  readonly context?: Partial<HeartContext>;
}

/** One load, and what it told. */
export interface StartedLoad extends RouteRun {
  readonly tree: ImageTree;
  readonly told: readonly Digest[];
  /** Both steps. */
  readonly whole: () => Promise<Delivered>;
}

export const usualReference = 'registry.example/team/app:1';

export async function treeOf(pull: HeartPull, platform: string = 'linux/amd64'): Promise<ImageTree> {
  const { tree } = await resolveImage(pull.context, {
    // As the rig's registries know it.
    reference: parseReference(usualReference),
    platform: parsePlatform(platform),
    policy: { onDivergence: 'remembered', onUnverified: 'accept' },
    memory: { recall: async () => null, remember: async () => {} },
    local: async () => null,
  });
  return tree;
}

/** Begins to load the image of a pull's registries into an engine. */
export async function startLoad(
  engine: DockerEngine,
  pull: HeartPull,
  request: LoadRequest = {},
): Promise<StartedLoad> {
  const { reference = usualReference, platform = 'linux/amd64' } = request;
  const tree = await treeOf(pull, platform);
  const told: Digest[] = [];
  const delivery: Delivery = {
    context: { ...pull.context, ...request.context },
    comeback: new Comeback(dockerParts(engine).daemon, pull.context.pullId),
    reference: parseReference(reference),
    platform: parsePlatform(platform),
    tree,
    shared: request.shared ?? new SharedFetches(),
    shareKey: 'key',
    onBlob: ({ digest }) => told.push(digest),
    onRouteChanged: () => {
      throw new Error('a load changes no route');
    },
  };
  const run = startLoadRoute(engine, delivery);
  return {
    tree,
    told,
    layers: () => run.layers(),
    extract: () => run.extract(),
    whole: async () => {
      await run.layers();
      return run.extract();
    },
  };
}

export function engineOf(real: RealEngine, options: DockerEngineOptions = {}): DockerEngine {
  return dockerEngine(real.docker, options);
}

/** Every name that an engine knows, with its host. */
export async function namesIn(docker: Dockerode): Promise<readonly string[]> {
  const images = await docker.listImages({ all: true });
  return images.flatMap(({ RepoTags }) => RepoTags ?? []).filter((name) => name !== '<none>:<none>');
}

/** Creates a container from a name, and removes it: the engine can use the image. */
export async function createContainerFrom(docker: Dockerode, reference: string): Promise<void> {
  const container = await docker.createContainer({
    Image: reference,
    Cmd: ['/seeded.bin'],
    HostConfig: { NetworkMode: 'none' },
  });
  await container.remove();
}
