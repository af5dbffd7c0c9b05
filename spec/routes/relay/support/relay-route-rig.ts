import { expect } from 'chai';
import type Dockerode from 'dockerode';
import { dockerEngine, dockerParts, type DockerEngine } from '../../../../lib/engine/docker/docker-engine.js';
import type { HeartContext } from '../../../../lib/failover/context.js';
import type { ImageTree } from '../../../../lib/failover/manifest/image-tree.js';
import { SharedFetches } from '../../../../lib/failover/shared/shared-fetch.js';
import { parsePlatform } from '../../../../lib/image/platform.js';
import { parseReference } from '../../../../lib/image/reference.js';
import type { Limits } from '../../../../lib/policy/limits.js';
import type { Relay } from '../../../../lib/relay/relay.js';
import { startRelay } from '../../../../lib/relay/start-relay.js';
import { Comeback } from '../../../../lib/routes/comeback.js';
import { startRelayRoute } from '../../../../lib/routes/relay/relay.js';
import type { Delivered, RouteChange, RouteRun } from '../../../../lib/routes/route.js';
import type { Digest } from '../../../../lib/vocabulary/digest.js';
import type { HeartPull } from '../../../failover/support/heart-rig.js';
import { type RealEngine, removeImages } from '../../../support/real-engine.js';
import { treeOf, usualReference } from '../../load/support/load-rig.js';

/** What one pull through the relay is asked for. */
export interface RelayRouteRequest {
  /** Default `registry.example/team/app:1`. */
  readonly reference?: string;
  /** Default `linux/amd64`. */
  readonly platform?: string;
  readonly shared?: SharedFetches;
  readonly context?: Partial<HeartContext>;
  /** Replaces the pull's own limit: from when on a silent daemon is wedged. */
  readonly stallMs?: number;
  readonly extractStallMs?: number;
}

/** One pull through the relay, and what it told. */
export interface StartedPull extends RouteRun {
  readonly tree: ImageTree;
  readonly told: readonly Digest[];
  readonly changes: readonly RouteChange[];
  /** Both steps. */
  readonly whole: () => Promise<Delivered>;
}

/** A real daemon as an engine, and a relay for it. */
export interface RelayRouteRig extends AsyncDisposable {
  readonly real: RealEngine;
  readonly docker: Dockerode;
  readonly engine: DockerEngine;
  readonly relay: Relay;
  start(pull: HeartPull, request?: RelayRouteRequest): Promise<StartedPull>;
  /** Every tag and digest that the daemon knows images by. */
  names(): Promise<readonly string[]>;
  /** Removes every image. */
  clear(): Promise<void>;
}

/** Long enough that no healthy daemon on a busy machine seems wedged. */
const usualStallMs = 5_000;

export async function openRelayRouteRig(real: RealEngine): Promise<RelayRouteRig> {
  const engine = dockerEngine(real.docker);
  const relay = await startRelay(dockerParts(engine).relay);
  const { docker } = real;
  const names = async (): Promise<readonly string[]> => {
    const images = await docker.listImages({ all: true });
    return images
      .flatMap(({ RepoTags, RepoDigests }) => [...(RepoTags ?? []), ...(RepoDigests ?? [])])
      .filter((name) => !name.startsWith('<none>'));
  };
  return {
    real,
    docker,
    engine,
    relay,
    names,
    clear: () => removeImages(real),
    start: async (pull, request = {}) => {
      const { reference = usualReference, platform = 'linux/amd64' } = request;
      const tree = await treeOf(pull, platform);
      const told: Digest[] = [];
      const changes: RouteChange[] = [];
      const limits: Limits = {
        ...pull.context.limits,
        layers: { ...pull.context.limits.layers, stallMs: request.stallMs ?? usualStallMs },
        extract: { stallMs: request.extractStallMs ?? pull.context.limits.extract.stallMs },
      };
      const run = startRelayRoute(engine, relay, {
        context: { ...pull.context, limits, ...request.context },
        comeback: new Comeback(dockerParts(engine).daemon, pull.context.pullId),
        reference: parseReference(reference),
        platform: parsePlatform(platform),
        tree,
        shared: request.shared ?? new SharedFetches(),
        shareKey: 'key',
        onBlob: ({ digest }) => told.push(digest),
        onRouteChanged: (change) => changes.push(change),
      });
      return {
        tree,
        told,
        changes,
        layers: () => run.layers(),
        extract: () => run.extract(),
        whole: async () => {
          await run.layers();
          return run.extract();
        },
      };
    },
    [Symbol.asyncDispose]: async () => {
      await relay.close();
      await engine.close();
      await real.close();
    },
  };
}

/** Nothing in the daemon tells that there was a relay. */
export async function expectNoTrace(rig: RelayRouteRig): Promise<void> {
  expect((await rig.names()).filter((name) => name.includes('pull-failover'))).to.deep.equal([]);
}
