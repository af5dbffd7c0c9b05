import { formatPlatform } from '../image/platform.js';
import type { Attempt, Failover, PullBytes, PullReport, PullTimings, Served } from '../vocabulary/report.js';
import type { AttemptResult } from './attempt-frame.js';
import { platformOfPulled, type CachedImage } from './cached-image.js';
import type { PlannedRoute } from './engine-route.js';
import type { PullJob } from './pull-job.js';
import type { PullScope } from './voice.js';

/** What a pull has to say of itself, whichever way it ended well. */
export interface PullAccount {
  readonly scope: PullScope;
  readonly job: PullJob;
  /** Null when the image is in none. */
  readonly replicaSet: string | null;
  /** Of all walks through the plan, in order. */
  readonly attempts: readonly Attempt[];
  readonly failovers: readonly Failover[];
  readonly served: readonly Served[];
  readonly bytes: PullBytes;
  readonly timings: PullTimings;
  /** As planned, or as it was changed to. */
  readonly route: Pick<PlannedRoute, 'route' | 'reason'>;
}

/** The report of an image that registries served. */
export async function reportPulled(account: PullAccount, result: AttemptResult): Promise<PullReport> {
  const { digest, manifestDigest, resolution, config, delivered } = result;
  const { job } = account;
  const { imageId, reference, route } = delivered;
  const own = await platformOfPulled(job.engine, { config, reference });
  return {
    ...common(account),
    digest,
    manifestDigest,
    imageId,
    reference,
    route,
    cachedAgeMs: null,
    platform: formatPlatform(own ?? job.platform),
    source: 'registry',
    resolution,
  };
}

/** The report of an image that the engine had. */
export function reportCached(account: PullAccount, cached: CachedImage): PullReport {
  return {
    ...common(account),
    digest: cached.digest,
    manifestDigest: cached.manifestDigest,
    imageId: cached.imageId,
    reference: cached.reference,
    cachedAgeMs: cached.ageMs,
    platform: cached.platform,
    source: 'cache',
    resolution: account.job.reference.digest === null ? 'remembered' : 'digest-given',
    bytes: { ...account.bytes, total: cached.bytes, local: cached.bytes },
  };
}

function common(account: PullAccount) {
  const { scope, replicaSet, route, attempts, failovers, served, bytes, timings } = account;
  return {
    ...scope,
    replicaSet,
    route: route.route,
    routeReason: route.reason,
    attempts,
    failovers,
    served,
    bytes,
    timings,
  };
}
