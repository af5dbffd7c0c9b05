/** Whose work something is: that of one pull, for an operation of one kind (`''` for none). */
export interface Taker {
  readonly kind: string;
  readonly pullId: string;
}

/** What is in use and wanted, of one kind of operation or of one pull. */
export interface Share {
  /** Connections. */
  readonly held: number;
  /** Of these, how many were asked for again. */
  readonly asked: number;
  /** Claims that wait for a connection. */
  readonly waiting: number;
  /** Of these, how many count on one that was asked for, or that comes back by itself. */
  readonly promised: number;
  /** Memory for bytes ahead of the one that is written next. */
  readonly aheadBytes: number;
}

type Counts = { -readonly [Count in keyof Share]: number };

/** One kind of operation that uses or wants something. */
export interface KindShare extends Share {
  readonly kind: string;
  readonly pulls: ReadonlyMap<string, PullShare>;
}

/** One pull that uses or wants something. */
export interface PullShare extends Share {
  readonly pullId: string;
  readonly kind: KindShare;
}

interface MutableKind extends Counts {
  readonly kind: string;
  readonly pulls: Map<string, MutablePull>;
}

interface MutablePull extends Counts {
  readonly pullId: string;
  readonly kind: MutableKind;
}

const nothing: Share = { held: 0, asked: 0, waiting: 0, promised: 0, aheadBytes: 0 };

/** Counts who uses and wants what. Only those that use or want something are known, so it grows with nothing else. */
export class TransferShares {
  readonly #kinds = new Map<string, MutableKind>();

  get kinds(): ReadonlyMap<string, KindShare> {
    return this.#kinds;
  }

  /** The share of this pull; one that is not known yet is all zeros, and known with the first `add` to it. */
  of({ kind, pullId }: Taker): PullShare {
    const share: MutableKind = this.#kinds.get(kind) ?? { ...nothing, kind, pulls: new Map() };
    return share.pulls.get(pullId) ?? { ...nothing, pullId, kind: share };
  }

  add(share: PullShare, count: keyof Share, amount: number): void {
    const pull = share as MutablePull;
    pull[count] += amount;
    pull.kind[count] += amount;
    if (isIdle(pull)) pull.kind.pulls.delete(pull.pullId);
    else pull.kind.pulls.set(pull.pullId, pull);
    if (isIdle(pull.kind)) this.#kinds.delete(pull.kind.kind);
    else this.#kinds.set(pull.kind.kind, pull.kind);
  }

  /** How many kinds are active once this one is, too. */
  kindsWith(kind: KindShare): number {
    return this.#kinds.size + (this.#kinds.has(kind.kind) ? 0 : 1);
  }

  /** How many pulls of its kind are active once this one is, too. */
  pullsWith({ kind, pullId }: PullShare): number {
    return kind.pulls.size + (kind.pulls.has(pullId) ? 0 : 1);
  }
}

function isIdle({ held, waiting, aheadBytes }: Share): boolean {
  return held === 0 && waiting === 0 && aheadBytes === 0;
}
