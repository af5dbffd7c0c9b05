import { monotonicMs } from '../clock/time.js';
import { createBoundedMap } from '../policy/bounded-map.js';
import type { RedirectedTo } from './follow.js';

/** Where a registry was found to have a blob: where it redirected to, or at its own API. */
export type FoundAt = { readonly kind: 'redirected'; readonly to: RedirectedTo } | { readonly kind: 'served' };

/** What is known of one blob to one who asks. */
export interface BlobPlace {
  /** Null when the registry's API has to be asked. */
  found(): FoundAt | null;
  /** @param lifeMs milliseconds for which it holds */
  keep(found: FoundAt, lifeMs: number): void;
  /** Forgets it, unless something newer is known already. */
  forget(found: FoundAt | null): void;
  /** Milliseconds until the registry's API may be asked again. */
  untilAskedMs(): number;
  /** The registry's API is asked. */
  asked(): void;
}

/** Where the blobs of one registry are. Holds signed URLs: in memory alone, and never to be shown. */
export interface BlobPlaces {
  of(key: string): BlobPlace;
}

/**
 * So often one blob is asked for at the API of a registry that redirects, within a second: its ranges share an answer.
 * Two, for the one that answers a challenge, or the one after a URL that had expired, should not wait.
 */
const maxAsked = 2;
const askedWithinMs = 1_000;

/** Blobs of some hundred images; one that is forgotten costs one request. */
const maxPlaces = 1_024;

export function createBlobPlaces(): BlobPlaces {
  const places = createBoundedMap<string, BlobPlace>(maxPlaces);
  return {
    of: (key) => {
      const place = places.get(key) ?? createBlobPlace();
      places.set(key, place);
      return place;
    },
  };
}

function createBlobPlace(): BlobPlace {
  let known: { readonly found: FoundAt; readonly untilMs: number } | null = null;
  let askedAtMs: readonly number[] = [];
  return {
    found: () => (known !== null && monotonicMs() < known.untilMs ? known.found : null),
    keep: (found, lifeMs) => {
      known = { found, untilMs: monotonicMs() + lifeMs };
    },
    forget: (found) => {
      if (known?.found === found) known = null;
    },
    untilAskedMs: () => {
      const earliest = askedAtMs.at(-maxAsked);
      return earliest === undefined ? 0 : Math.max(0, earliest + askedWithinMs - monotonicMs());
    },
    asked: () => {
      askedAtMs = [...askedAtMs, monotonicMs()].slice(-maxAsked);
    },
  };
}
