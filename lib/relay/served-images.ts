import type { Digest } from '../vocabulary/digest.js';
import type { ServedImage } from './relay.js';
import { LiveImage } from './served-image.js';

/** The images that daemons may pull now. */
export interface ServedImages {
  add(image: ServedImage): LiveImage;
  /** Those of one repository, in the order in which they came. */
  inRepository(repository: string): readonly LiveImage[];
  /**
   * Those that can bring this blob, of this repository first. The others count too: a daemon asks once for a layer that
   * several of its pulls want, under the name of whichever came first, and that one may have been given up since.
   */
  holdersOf(repository: string, digest: Digest): readonly LiveImage[];
  /** Stops all. */
  close(): Promise<void>;
}

export function createServedImages(): ServedImages {
  const served = new Set<LiveImage>();

  return {
    add: (image) => {
      const live = new LiveImage(image);
      served.add(live);
      const forget = (): void => {
        served.delete(live);
      };
      if (live.over.aborted) forget();
      else live.over.addEventListener('abort', forget, { once: true });
      return live;
    },
    inRepository: (repository) => [...served].filter(({ image }) => image.repository === repository),
    holdersOf: (repository, digest) => {
      const holders = [...served].filter((live) => live.isLive && live.blob(digest) !== null);
      const isElsewhere = ({ image }: LiveImage): number => (image.repository === repository ? 0 : 1);
      return holders.toSorted((a, b) => isElsewhere(a) - isElsewhere(b));
    },
    close: async () => {
      await Promise.all([...served].map((live) => live.stop()));
    },
  };
}
