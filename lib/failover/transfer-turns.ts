import type { KindShare, PullShare } from './transfer-shares.js';

/** Somebody who waits for a connection, or holds one that can be asked for again. */
export interface Turn {
  readonly pull: PullShare;
  readonly remainingBytes: () => number;
}

/**
 * Who of those that wait is next: of the kind that holds fewest, of the pull that holds fewest, the one with the least
 * work left; kinds that hold equally many take turns.
 *
 * @param waiters in the order in which they came
 * @param servedAt when a kind had its last turn; the least comes first
 * @param longestFirst whether, of equal pulls, the one that waits longest is next, whatever its work
 */
export function nextTurn<Waiter extends Turn>(
  waiters: Iterable<Waiter>,
  kind: KindShare,
  longestFirst: boolean,
): Waiter | null {
  let next: Waiter | null = null;
  let nextBytes = Infinity;
  for (const waiter of waiters) {
    if (waiter.pull.kind !== kind) continue;
    const byPull = next === null ? -1 : waiter.pull.held - next.pull.held;
    if (byPull > 0 || (byPull === 0 && longestFirst)) continue;
    const bytes = waiter.remainingBytes();
    if (byPull === 0 && bytes >= nextBytes) continue;
    next = waiter;
    nextBytes = bytes;
  }
  return next;
}

/** The kind whose turn it is: of those with somebody who waits the one that holds fewest, then the one served longest ago. */
export function nextKind(kinds: Iterable<KindShare>, servedAt: (kind: KindShare) => number): KindShare | null {
  let next: KindShare | null = null;
  for (const kind of kinds) {
    if (kind.waiting === 0) continue;
    const byHeld = next === null ? -1 : kind.held - next.held;
    if (byHeld < 0 || (byHeld === 0 && next !== null && servedAt(kind) < servedAt(next))) next = kind;
  }
  return next;
}

/** What is left of a share when all that was asked for has come back. */
function kept({ held, asked }: { readonly held: number; readonly asked: number }): number {
  return held - asked;
}

/**
 * Who should make room at once, so that everybody gets a fair share: first somebody of a kind that holds more than its
 * own when the waiter's holds less, then somebody of a pull that holds several when the waiter's holds none. Each is
 * above the other by two at least, so that they never ask each other in turn.
 *
 * @param holders those that were not asked yet
 * @param kindPart connections that each kind has a right to
 */
export function aboveItsShare<Holder extends Turn>(
  waiter: Turn,
  holders: Iterable<Holder>,
  kindPart: number,
): Holder | null {
  const { pull } = waiter;
  const belowAsKind = pull.kind.held + pull.kind.promised < Math.max(1, Math.floor(kindPart));
  const belowAsPull = pull.held + pull.promised === 0;
  if (!belowAsKind && !belowAsPull) return null;
  const above = [...holders].filter((holder) =>
    holder.pull.kind === pull.kind
      ? belowAsPull && kept(holder.pull) > 1
      : belowAsKind && kept(holder.pull.kind) > Math.max(1, kindPart),
  );
  return above.reduce<Holder | null>(
    (most, holder) => (most === null || holdsMore(holder, most) ? holder : most),
    null,
  );
}

/** Whether `one` is to make room rather than `other`: of what holds more, as a kind and then as a pull, then with more left. */
function holdsMore(one: Turn, other: Turn): boolean {
  const byKind = kept(one.pull.kind) - kept(other.pull.kind);
  if (byKind !== 0) return byKind > 0;
  const byPull = kept(one.pull) - kept(other.pull);
  if (byPull !== 0) return byPull > 0;
  return one.remainingBytes() > other.remainingBytes();
}

/**
 * Who should make room for less work than its own: the one with the most left, if what it gives up would go to the
 * waiter. Not from a kind or a pull that holds no more than the waiter's: to that one it would go back.
 *
 * @param holders those that were not asked yet
 */
export function withMoreWork<Holder extends Turn>(waiter: Turn, holders: Iterable<Holder>): Holder | null {
  const { pull } = waiter;
  let most: Holder | null = null;
  let mostBytes = waiter.remainingBytes();
  for (const holder of holders) {
    const wouldGive =
      holder.pull === pull ||
      (holder.pull.kind === pull.kind ? kept(holder.pull) > pull.held : kept(holder.pull.kind) > pull.kind.held);
    if (!wouldGive) continue;
    const bytes = holder.remainingBytes();
    if (bytes <= mostBytes) continue;
    most = holder;
    mostBytes = bytes;
  }
  return most;
}
