import type { Served } from '../vocabulary/report.js';
import type { EventOfPull } from './followed-pull.js';

/** Work that several pulls share. Each of them tells of it in its own name. */
interface SharedWork {
  /** The pull that began it; it keeps that name when that pull has left. */
  readonly leader: string;
  /** The pulls that wait for it, the longest first. */
  readonly callers: Set<string>;
  /** What each registry had brought when it was told last. */
  readonly brought: Map<string, number>;
}

/** What one event says that arrived since the event before it. */
export interface Arrived {
  readonly registry: string;
  readonly bytes: number;
}

/** Knows which pulls tell of the same work, so that a failure, a failover and a byte of it are counted once. */
export class SharedWorks {
  /** By the pull that tells of it. */
  readonly #byCaller = new Map<string, SharedWork>();
  /** By the pull that began it. */
  readonly #byLeader = new Map<string, SharedWork>();

  /** A pull begins; until it joins another one its work is its own. */
  began(pullId: string): void {
    this.#workOf(pullId);
  }

  joined(pullId: string, leader: string): void {
    const work = this.#byLeader.get(leader);
    if (work === undefined) return;
    this.ended(pullId);
    work.callers.add(pullId);
    this.#byCaller.set(pullId, work);
  }

  /** Whether this event is the one that counts: the same is told by every pull that shares the work. */
  counts({ pullId }: EventOfPull): boolean {
    const [teller] = this.#workOf(pullId).callers;
    return teller === pullId;
  }

  /** What arrived since the pull, or another one that shares its work, told it last. */
  arrived({ pullId }: EventOfPull, served: readonly Served[]): readonly Arrived[] {
    const { brought } = this.#workOf(pullId);
    return served.flatMap(({ registry, bytes }) => {
      const more = bytes - (brought.get(registry) ?? 0);
      if (more <= 0) return [];
      brought.set(registry, bytes);
      return [{ registry, bytes: more }];
    });
  }

  /** The pull tells no more. */
  ended(pullId: string): void {
    const work = this.#byCaller.get(pullId);
    if (work === undefined) return;
    this.#byCaller.delete(pullId);
    work.callers.delete(pullId);
    if (work.callers.size === 0) this.#byLeader.delete(work.leader);
  }

  #workOf(pullId: string): SharedWork {
    const known = this.#byCaller.get(pullId);
    if (known !== undefined) return known;
    const work: SharedWork = { leader: pullId, callers: new Set([pullId]), brought: new Map() };
    this.#byCaller.set(pullId, work);
    this.#byLeader.set(pullId, work);
    return work;
  }
}
