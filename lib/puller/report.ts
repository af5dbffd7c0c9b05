import { formatPlatform } from '../image/platform.js';
import type { Attempt, Failover, PullBytes, PullReport, PullTimings, Served } from '../vocabulary/report.js';
import type { AttemptResult } from './attempt.js';
import { platformOfConfig, type CachedImage } from './cached-image.js';
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
}

/** The report of an image that registries served. */
export async function reportPulled(account: PullAccount, { image }: AttemptResult): Promise<PullReport> {
  const { tree, resolution } = image;
  const { job } = account;
  const own = await platformOfConfig(job.engine, tree.config);
  return {
    ...common(account),
    digest: tree.root.digest,
    manifestDigest: tree.manifest.digest,
    imageId: tree.config.digest,
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
    imageId: cached.config.digest,
    platform: cached.platform,
    source: 'cache',
    resolution: account.job.reference.digest === null ? 'remembered' : 'digest-given',
    bytes: { ...account.bytes, total: cached.bytes, local: cached.bytes },
  };
}

function common(account: PullAccount) {
  const { scope, job, replicaSet, attempts, failovers, served, bytes, timings } = account;
  return {
    ...scope,
    reference: job.reference.canonical,
    replicaSet,
    route: 'layout' as const,
    attempts,
    failovers,
    served,
    bytes,
    timings,
  };
}
