import type { HeartContext } from '../failover/context.js';
import type { ImageTree } from '../failover/manifest/image-tree.js';
import type { ResolvedImage, ResolveRequest } from '../failover/manifest/resolve-image.js';
import type { Sources } from '../failover/sources.js';
import { maxManifestBytes } from '../image/manifest.js';
import { deriveAbort, type DerivedAbort } from '../policy/deadline.js';
import type { Delivered, RouteChange } from '../routes/route.js';
import type { Descriptor } from '../image/descriptor.js';
import type { Digest } from '../vocabulary/digest.js';
import type { Phase } from '../vocabulary/phase.js';
import type { Resolution } from '../vocabulary/report.js';
import type { PlannedRoute } from './engine-route.js';
import { openHeart, type HeartRequest } from './heart-context.js';
import { observeHeart } from './heart-observer.js';
import { startLayersDeadline } from './layers-deadline.js';
import type { PullerParts } from './parts.js';
import { noteFailed } from './probe-notes.js';
import type { Progress } from './progress.js';
import type { Stopwatch } from './stopwatch.js';

/** What one walk through a plan needs. */
export interface AttemptRequest extends HeartRequest {
  readonly route: PlannedRoute;
  readonly progress: Progress;
  readonly stopwatch: Stopwatch;
  /** Given the view as soon as there is one, for whoever has to tell of it after a failure. */
  readonly onSources: (sources: Sources) => void;
  /** The image takes another way into the engine than was planned. */
  readonly onRouteChanged: (change: RouteChange) => void;
}

/** What a walk through a plan brought. */
export interface AttemptResult {
  readonly digest: Digest;
  readonly manifestDigest: Digest;
  readonly resolution: Resolution;
  /** Null when only the engine has seen what the image consists of. */
  readonly config: Descriptor | null;
  readonly delivered: Delivered;
}

/** One walk through a plan, whichever way its bytes take. */
export interface AttemptFrame extends Disposable {
  readonly parts: PullerParts;
  readonly request: AttemptRequest;
  readonly context: HeartContext;
  readonly resolve: ResolveRequest;
  /** Tells the beginning and the end of a phase, and times it. */
  inPhase<T>(phase: Phase, work: () => Promise<T>): Promise<T>;
  /** The same for the layers, which may have a limit of their own. */
  inLayers<T>(work: () => Promise<T>): Promise<T>;
  readonly onBlob: (blob: Descriptor) => void;
  /** What the image was found to consist of, in this packing and another one. */
  readonly trees: Set<ImageTree>;
  readonly onRouteChanged: (change: RouteChange) => void;
}

/** Opens what a walk through a plan works with. */
export function openAttempt(parts: PullerParts, request: AttemptRequest): AttemptFrame {
  const { job, pullId, callers, progress, stopwatch } = request;
  const { engine } = job;
  const trees = new Set<ImageTree>();
  const observer = observeHeart({
    pullId,
    callers,
    progress,
    parts,
    viaEngine: request.route.route === 'direct',
    onFailed: (failed) => noteFailed(parts.probeTargets, failed, { sources: context.sources, trees }),
  });
  const abort: DerivedAbort = deriveAbort(request.signal);
  const context = openHeart(parts, { ...request, signal: abort.signal }, observer);
  request.onSources(context.sources);

  async function inPhase<T>(phase: Phase, work: () => Promise<T>): Promise<T> {
    callers.tell({ type: 'phase:started', phase });
    const stop = stopwatch.start(phase);
    try {
      return await work();
    } finally {
      observer.stopWaiting();
      callers.tell({ type: 'phase:ended', phase, durationMs: stop() });
    }
  }

  return {
    parts,
    request,
    context,
    resolve: {
      reference: job.reference,
      platform: job.platform,
      policy: job.policy,
      memory: parts.memory,
      local: async (digest, maxBytes) =>
        // A daemon gives no document back.
        engine.kind === 'oci-layout' ? engine.readBlob(digest, Math.min(maxBytes, maxManifestBytes)) : null,
    },
    inPhase,
    inLayers: (work) =>
      inPhase('layers', async () => {
        const deadline = startLayersDeadline(context, abort);
        try {
          return await work();
        } finally {
          deadline.cancel();
        }
      }),
    trees,
    onBlob: ({ digest }) => {
      progress.isHere(digest);
    },
    onRouteChanged: (change) => {
      request.onRouteChanged(change);
      callers.tell({ type: 'pull:route-changed', ...change });
    },
    [Symbol.dispose]: () => abort[Symbol.dispose](),
  };
}

/** The result of an image whose every part was resolved here. */
export function resultOf({ tree, resolution }: ResolvedImage, delivered: Delivered): AttemptResult {
  return {
    digest: tree.root.digest,
    manifestDigest: tree.manifest.digest,
    resolution,
    config: tree.config,
    delivered,
  };
}
