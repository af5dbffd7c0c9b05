import { isPullExhaustedError } from '../errors/pull-exhausted-error.js';
import type { ImageTree } from '../failover/manifest/image-tree.js';
import { findOtherPacking, resolveImage, type ResolvedImage } from '../failover/manifest/resolve-image.js';
import type { Sources } from '../failover/sources.js';
import type { RouteRun } from '../routes/route.js';
import { registryPhases } from '../vocabulary/phase.js';
import { attemptDirect, reasonToPullDirectly } from './attempt-direct.js';
import { openAttempt, resultOf, type AttemptFrame, type AttemptRequest, type AttemptResult } from './attempt-frame.js';
import { lastResortOf, warnOfLastResort, type CarryingRoute } from './engine-route.js';
import { deliveryOf } from './delivery.js';
import type { PullerParts } from './parts.js';
import { noteServed } from './probe-notes.js';
import { planPull } from './pull-plan.js';

/** Brings the image from the plan's registries into the engine, once. @throws what `resolveImage` and the route do */
export async function attemptPull(parts: PullerParts, request: AttemptRequest): Promise<AttemptResult> {
  using frame = openAttempt(parts, request);
  const { route } = request;
  const { sources } = frame.context;
  try {
    return await recordingGood(parts, sources, { ...request, viaEngine: route.route === 'direct' }, () =>
      route.route === 'direct' ? attemptDirect(frame, route.engine) : carry(frame, route),
    );
  } finally {
    noteServed(parts.probeTargets, { reference: request.job.reference, sources, trees: frame.trees });
  }
}

/**
 * Lets a view of the registries hear of circuits that open and of what an operator wants while it is used, and circuits
 * of what was good in it.
 */
export async function recordingGood<T>(
  parts: PullerParts,
  sources: Sources,
  { job, callers, viaEngine }: Pick<AttemptRequest, 'job' | 'callers'> & { readonly viaEngine: boolean },
  work: () => Promise<T>,
): Promise<T> {
  const end = parts.running.add({ sources, replan: () => planPull(parts, job, callers, { trial: false }) });
  try {
    return await work();
  } finally {
    end();
    recordGood(parts, sources, { engine: job.engine.id, viaEngine });
  }
}

/** Fetches here, and carries what came to the engine. */
async function carry(frame: AttemptFrame, route: CarryingRoute): Promise<AttemptResult> {
  const { context, resolve } = frame;
  let image: ResolvedImage;
  try {
    image = await frame.inPhase('metadata', () => resolveImage(context, resolve));
  } catch (error) {
    const engine = lastResortOf(frame.request.job.engine);
    const reason = engine === null ? null : reasonToPullDirectly(context, error);
    if (engine === null || reason === null) throw error;
    // This process reaches no registry; the engine may.
    warnOfLastResort(engine, reason);
    frame.onRouteChanged({ from: route.route, to: 'direct', reason });
    return attemptDirect(frame, engine);
  }
  let run: RouteRun;
  try {
    run = await bringLayers(frame, route, image.tree);
  } catch (error) {
    if (!isPullExhaustedError(error)) throw error;
    const { tree, resolvedBy } = image;
    const missing = { digest: tree.root.digest, config: tree.config.digest, resolvedBy };
    const other = await frame.inPhase('metadata', () => findOtherPacking(context, resolve, missing));
    if (other === null) throw error;
    image = other;
    run = await bringLayers(frame, route, image.tree);
  }
  const delivered = await frame.inPhase('extract', () => run.extract());
  return resultOf(image, delivered);
}

async function bringLayers(frame: AttemptFrame, route: CarryingRoute, tree: ImageTree): Promise<RouteRun> {
  const { progress } = frame.request;
  progress.expect(tree);
  frame.trees.add(tree);
  const run = await frame.inLayers(async () => {
    const started = await route.start(deliveryOf(frame, tree));
    await started.layers();
    return started;
  });
  progress.tell('layers');
  return run;
}

function recordGood(
  parts: PullerParts,
  sources: Sources,
  who: { readonly engine: string; readonly viaEngine: boolean },
): void {
  for (const candidate of sources.candidates) {
    for (const phase of registryPhases) {
      if (!sources.isGood(candidate, phase)) continue;
      parts.attribution.succeeded({ registry: candidate.registry, phase, ...who });
      parts.circuits.record(candidate.registry, phase, 'good');
    }
  }
}
