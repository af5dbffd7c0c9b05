import { isPullExhaustedError } from '../errors/pull-exhausted-error.js';
import type { HeartContext } from '../failover/context.js';
import { fetchManifest } from '../failover/manifest/fetch-manifest.js';
import type { Cause } from '../vocabulary/reason.js';
import type { Attempt } from '../vocabulary/report.js';
import type { CachedImage } from './cached-image.js';
import { placesOf, type HeartRequest } from './heart-context.js';

/** What a registry answers to somebody who may not read; many say that there is no such image. */
const denials: ReadonlySet<Cause> = new Set(['credentials', 'not-replicated']);

/**
 * Lets a caller with credentials of its own have an image that the engine got for somebody else: the image's own
 * registry is asked for the manifest with them first. One that cannot be asked now proves nothing against the caller.
 *
 * @throws PullExhaustedError when the registry denies it, or the signal's own reason
 */
export async function proveAccess(
  context: HeartContext,
  request: HeartRequest,
  { digest, isPublishedDigest }: Pick<CachedImage, 'digest' | 'isPublishedDigest'>,
): Promise<void> {
  const own = registriesShown(request);
  if (own.size === 0) return;
  const { tag } = request.job.reference;
  // An engine's own identifier is known to no registry; whoever may read the tag may read the image.
  const wanted = isPublishedDigest || tag === null ? { digest } : { tag };
  try {
    await fetchManifest(context, wanted, ({ registry }) => own.has(registry));
  } catch (error) {
    if (!isPullExhaustedError(error) || isDenied(request, context.sources.attempts)) throw error;
  }
}

/** Whether a registry that was shown the caller's own credentials has denied the image. */
export function isDenied(request: Pick<HeartRequest, 'job' | 'plan'>, attempts: readonly Attempt[]): boolean {
  const own = registriesShown(request);
  return attempts.some(({ registry, reason }) => own.has(registry) && denials.has(reason.cause));
}

function registriesShown(request: Pick<HeartRequest, 'job' | 'plan'>): ReadonlySet<string> {
  const { credentials } = request.job;
  if (credentials === null) return new Set();
  const shown = placesOf(request).filter((place) => place.credentials === credentials);
  return new Set(shown.map(({ registry }) => registry.prefix));
}
