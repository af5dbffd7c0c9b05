import { dockerEngine, dockerParts, type DockerEngine } from '../../../../lib/engine/docker/docker-engine.js';
import { PullExhaustedError } from '../../../../lib/errors/pull-exhausted-error.js';
import type { HeartContext } from '../../../../lib/failover/context.js';
import type { ImageTree } from '../../../../lib/failover/manifest/image-tree.js';
import { SharedFetches } from '../../../../lib/failover/shared/shared-fetch.js';
import { parsePlatform } from '../../../../lib/image/platform.js';
import { parseReference } from '../../../../lib/image/reference.js';
import { anonymous } from '../../../../lib/registries/credential-source.js';
import type { CredentialSource } from '../../../../lib/registries/credentials.js';
import { parseRegistry } from '../../../../lib/registries/registry.js';
import {
  directLimits,
  startDirectRoute,
  type DirectDelivered,
  type DirectLimits,
  type DirectRun,
} from '../../../../lib/routes/direct/direct.js';
import { Comeback } from '../../../../lib/routes/comeback.js';
import type { RouteChange } from '../../../../lib/routes/route.js';
import {
  type Fault,
  type FaultProxy,
  pushImage,
  startFaultProxy,
  type TestImage,
} from '../../../../lib/testing/index.js';
import type { Digest } from '../../../../lib/vocabulary/digest.js';
import { type HeartPull, openHeartRig } from '../../../failover/support/heart-rig.js';
import { type DockerRegistry, registryUser, startDockerRegistry } from '../../../support/docker-registry.js';
import { startPodman } from '../../../support/podman-engine.js';
import { type RealEngine, removeImages } from '../../../support/real-engine.js';
import { type EngineKind, engineKinds, treeOf } from '../../load/support/load-rig.js';

/** Podman that takes plain HTTP from loopback by itself, and so tells of layers as Docker does. */
export const configuredPodman: EngineKind = {
  ...engineKinds.podman,
  title: 'Podman that trusts its loopback',
  start: () =>
    startPodman({ registryConfig: '[[registry]]\nprefix = "127.0.0.1"\nlocation = "127.0.0.1"\ninsecure = true\n' }),
};

/** Long against what a busy machine needs for a healthy answer, short for a spec. */
export const directSpecLimits: DirectLimits = {
  ...directLimits({
    metadata: { requestMs: 2_000, totalMs: 3_000 },
    layers: { firstByteMs: 1_000, stallMs: 2_500, minBytesPerSecond: 1, windowMs: 60_000, totalMs: Infinity },
    lastCandidate: { firstByteMs: 4_000, stallMs: 4_000 },
    extract: { stallMs: 60_000 },
  }),
};

/** What one pull is asked for. */
export interface DirectPullOptions {
  /** Default `registry.example/team/app:1`. */
  readonly reference?: string;
  /** `tag`: this process knows nothing of the image. Default `digest`. */
  readonly by?: 'digest' | 'tag';
  /** `unreached`: there is a way to make an archive, but this process reaches no registry. Default: none. */
  readonly escape?: boolean | 'unreached';
  readonly limits?: Partial<DirectLimits>;
  readonly signal?: AbortSignal;
  /** By registry; default: nobody's. */
  readonly credentials?: readonly (CredentialSource | null)[];
}

/** One pull, and what it told. */
export interface StartedDirectPull extends DirectRun {
  readonly pull: HeartPull;
  readonly told: readonly Digest[];
  readonly changes: readonly RouteChange[];
  /** All steps. */
  readonly whole: () => Promise<DirectDelivered>;
}

/** A real engine, and two real registries behind fault proxies. */
export interface DirectRig extends AsyncDisposable {
  readonly real: RealEngine;
  readonly engine: DockerEngine;
  readonly proxies: readonly FaultProxy[];
  /** Puts an image into both registries, as `team/app:1`. */
  push(image: TestImage): Promise<void>;
  /** What each proxy does; what was asked of them before is forgotten. */
  setFaults(...faults: readonly (readonly Fault[])[]): Promise<void>;
  start(image: TestImage, options?: DirectPullOptions): Promise<StartedDirectPull>;
  /** Every tag and digest that the engine knows images by. */
  names(): Promise<readonly string[]>;
  /** Removes every image. */
  clear(): Promise<void>;
}

export async function openDirectRig(real: RealEngine, auth: readonly ('none' | 'htpasswd')[] = []): Promise<DirectRig> {
  const engine = dockerEngine(real.docker);
  const registries = await Promise.all([0, 1].map((index) => startDockerRegistry({ auth: auth[index] ?? 'none' })));
  let proxies: FaultProxy[] = [];
  const setFaults: DirectRig['setFaults'] = async (...faults) => {
    await Promise.all(proxies.map((proxy) => proxy.close()));
    proxies = await Promise.all(
      registries.map(({ url }, index) => startFaultProxy(url, { faults: faults[index] ?? [] })),
    );
  };
  await setFaults();
  return {
    real,
    engine,
    get proxies() {
      return proxies;
    },
    setFaults,
    push: async (image) => {
      await Promise.all(registries.map((registry, index) => push(registry, auth[index] ?? 'none', image)));
    },
    start: async (image, options = {}) => {
      const { by = 'digest', reference = 'registry.example/team/app:1' } = options;
      const rig = await openHeartRig({ image, registries: proxies.map(({ host }) => ({ host })) });
      const pull = rig.openPull();
      const context: HeartContext = {
        ...pull.context,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      };
      const told: Digest[] = [];
      const changes: RouteChange[] = [];
      const parsed = parseReference(reference);
      const platform = parsePlatform('linux/amd64');
      const comeback = new Comeback(dockerParts(engine).daemon, context.pullId);
      const run = startDirectRoute(engine, {
        context,
        comeback,
        reference: parsed,
        platform,
        places: proxies.map(({ host }, index) => ({
          registry: parseRegistry(host, 'registries[0]', { dockerConfig: { credentials: () => anonymous } }),
          repository: 'team/app',
          credentials: options.credentials?.[index] ?? anonymous,
        })),
        digest: by === 'digest' ? image.digest : null,
        tree: by === 'digest' ? treeOfImage(image) : null,
        limits: { ...directSpecLimits, ...options.limits },
        escape:
          options.escape === 'unreached'
            ? async () => {
                throw new PullExhaustedError({ image: context.image, phase: 'metadata', attempts: [] });
              }
            : options.escape === true
              ? async () => ({
                  context,
                  comeback,
                  reference: parsed,
                  platform,
                  tree: await treeOf(pull),
                  shared: new SharedFetches(),
                  shareKey: 'key',
                  onBlob: ({ digest }) => told.push(digest),
                  onRouteChanged: (change) => changes.push(change),
                })
              : null,
        onBlob: ({ digest }) => told.push(digest),
        onRouteChanged: (change) => changes.push(change),
      });
      return {
        pull,
        told,
        changes,
        metadata: () => run.metadata(),
        layers: () => run.layers(),
        extract: () => run.extract(),
        whole: async () => {
          await run.metadata();
          await run.layers();
          return run.extract();
        },
      };
    },
    names: async () => {
      const images = await real.docker.listImages({ all: true });
      return images
        .flatMap(({ RepoTags, RepoDigests }) => [...(RepoTags ?? []), ...(RepoDigests ?? [])])
        .filter((name) => !name.startsWith('<none>'));
    },
    clear: () => removeImages(real),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(proxies.map((proxy) => proxy.close()));
      await Promise.all(registries.map((registry) => registry.close()));
      await engine.close();
      await real.close();
    },
  };
}

async function push({ url }: DockerRegistry, auth: 'none' | 'htpasswd', image: TestImage): Promise<void> {
  const { name, password } = registryUser;
  const authorization = `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
  await pushImage(url, 'team/app:1', image, auth === 'none' ? {} : { authorization });
}

/** What the heart would find out of an image without an index. */
function treeOfImage(image: TestImage): ImageTree {
  const [manifest] = image.manifests;
  if (manifest === undefined) throw new Error('the image has no manifest');
  const root = { digest: image.digest, mediaType: image.top.mediaType, bytes: image.top.bytes };
  const descriptorOf = ({ digest, sizeBytes }: TestImage['blobs'][number]) => ({
    digest,
    size: sizeBytes,
    mediaType: '',
  });
  return {
    root,
    documents: [root],
    manifest: root,
    config: descriptorOf(manifest.config),
    layers: manifest.layers.map(descriptorOf),
  };
}
