import type { DockerEngine } from '../engine/docker/docker-engine.js';
import { isHostFaultError } from '../errors/host-fault-error.js';
import { isPullExhaustedError } from '../errors/pull-exhausted-error.js';
import type { HeartContext } from '../failover/context.js';
import { resolveImage, type ResolvedImage } from '../failover/manifest/resolve-image.js';
import { parseDigest } from '../image/digest.js';
import { directLimits, startDirectRoute, type DirectDelivered, type DirectRun } from '../routes/direct/direct.js';
import type { Cause, Reason, ReasonCode } from '../vocabulary/reason.js';
import type { Resolution } from '../vocabulary/report.js';
import { resultOf, type AttemptFrame, type AttemptResult } from './attempt-frame.js';
import { deliveryOf } from './delivery.js';
import { placesOf } from './heart-context.js';

/** Lets the engine pull by itself, from one registry after another. @throws what `startDirectRoute` does */
export async function attemptDirect(frame: AttemptFrame, engine: DockerEngine): Promise<AttemptResult> {
  const { image, run } = await frame.inPhase('metadata', () => begin(frame, engine));
  await frame.inLayers(() => run.layers());
  frame.request.progress.tell('layers');
  const delivered = await frame.inPhase('extract', () => run.extract());
  return image === null ? resultOfEngine(frame, delivered) : resultOf(image, delivered);
}

interface DirectBegin {
  /** Null when only the engine can find out what the image consists of. */
  readonly image: ResolvedImage | null;
  readonly run: DirectRun;
}

async function begin(frame: AttemptFrame, engine: DockerEngine): Promise<DirectBegin> {
  const { context, resolve, request } = frame;
  const image = await resolveWhereReached(frame);
  if (image !== null) {
    request.progress.expect(image.tree);
    frame.trees.add(image.tree);
  }
  const run = startDirectRoute(engine, {
    context,
    comeback: request.job.comeback,
    reference: request.job.reference,
    platform: request.job.platform,
    places: placesOf(request),
    digest: image?.tree.root.digest ?? request.job.reference.digest,
    tree: image?.tree ?? null,
    limits: directLimits(context.limits),
    escape:
      image === null
        ? async () => {
            const found = await resolveImage(context, resolve);
            request.progress.expect(found.tree);
            return deliveryOf(frame, found.tree);
          }
        : async () => deliveryOf(frame, image.tree),
    onBlob: frame.onBlob,
    onRouteChanged: frame.onRouteChanged,
  });
  await run.metadata();
  return { image, run };
}

async function resolveWhereReached({ context, resolve }: AttemptFrame): Promise<ResolvedImage | null> {
  // What was tried in vain a moment ago would only take its time again.
  if (isOutOfReach(context)) return null;
  try {
    return await resolveImage(context, resolve);
  } catch (error) {
    if (reasonToPullDirectly(context, error) === null) throw error;
    return null;
  }
}

/** What is seen of a registry that this process does not reach, or does not trust, whoever else may. */
const unreachedCodes: ReadonlySet<ReasonCode> = new Set([
  'connection-refused',
  'connection-timed-out',
  'host-unreachable',
  'dns-not-found',
  'dns-failed',
  'dns-down',
  'egress-down',
  'tls-failed',
  'proxy-failed',
]);

/** Faults of this process's own network, which the engine need not share. */
const ownNetworkCauses: ReadonlySet<Cause> = new Set(['dns', 'network-egress', 'proxy']);

/**
 * Why an engine should be left to pull by itself: this process reaches no registry at all. Null when it does, or when
 * something else is the matter.
 */
export function reasonToPullDirectly(context: HeartContext, error: unknown): Reason | null {
  if (isHostFaultError(error)) return ownNetworkCauses.has(error.reason.cause) ? error.reason : null;
  if (!isPullExhaustedError(error) || !isOutOfReach(context)) return null;
  return context.sources.attempts.at(-1)?.reason ?? null;
}

function isOutOfReach({ sources }: HeartContext): boolean {
  const { attempts, served } = sources;
  // Whoever was only asked as a hedge is listed too.
  if (served.some(({ objects }) => objects > 0) || !attempts.every(({ reason }) => unreachedCodes.has(reason.code)))
    return false;
  return sources.order('metadata').every(({ registry }) => attempts.some((attempt) => attempt.registry === registry));
}

/** The result of an image of which only the engine has seen more than the name. */
function resultOfEngine({ request, context }: AttemptFrame, delivered: DirectDelivered): AttemptResult {
  const { reference } = request.job;
  const digest = delivered.digest ?? reference.digest ?? parseDigest(delivered.imageId);
  if (digest === null) throw new Error(`the engine identifies ${reference.canonical} by no digest`);
  const authority = context.sources.candidates.find(({ isAuthority }) => isAuthority)?.registry;
  const resolution: Resolution = delivered.resolvedBy === authority ? 'first-registry' : 'replica-unverified';
  return {
    digest,
    manifestDigest: digest,
    resolution: reference.digest === null ? resolution : 'digest-given',
    config: null,
    delivered,
  };
}
