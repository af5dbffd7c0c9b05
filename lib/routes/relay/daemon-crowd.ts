import type { Digest } from '../../vocabulary/digest.js';

/** One pull of this process through one daemon, as the others there see it. */
export interface CrowdMember {
  /** The blobs of its image. */
  readonly blobs: ReadonlySet<Digest>;
  /** Answers under way, each of which holds a download slot of the daemon. */
  openAnswers(): number;
  /** On the clock of `loopMs`: when it was last seen to get on; now while an answer is under way. */
  aliveAtMs(): number;
  /** Likewise: when the daemon was last seen to be writing one of these, which this pull has brought; `-Infinity`: never. */
  committingAtMs(digests: readonly Digest[]): number;
}

/** The pulls of this process that one daemon is busy with. */
export interface Crowd {
  /** Returns what takes it out again. */
  enter(member: CrowdMember): () => void;
  others(than: CrowdMember): readonly CrowdMember[];
}

const crowds = new Map<string, Set<CrowdMember>>();

/**
 * A daemon fetches a layer once for all who want it, and only a few at a time: a pull for which nothing happens may just
 * be waiting for another one of ours.
 */
export function crowdOf(daemonId: string): Crowd {
  return {
    enter: (member) => {
      const members = crowds.get(daemonId) ?? new Set();
      crowds.set(daemonId, members);
      members.add(member);
      return () => {
        members.delete(member);
        if (members.size === 0 && crowds.get(daemonId) === members) crowds.delete(daemonId);
      };
    },
    others: (than) => [...(crowds.get(daemonId) ?? [])].filter((member) => member !== than),
  };
}
