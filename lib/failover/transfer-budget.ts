import { createBoundedMap } from '../policy/bounded-map.js';
import { onAbort } from '../policy/deadline.js';
import { loopMs, startLoopTimer, type LoopTimer } from '../policy/loop-timer.js';
import { permitFor, type Permit } from './permit.js';
import { TransferShares, type KindShare, type PullShare, type Taker } from './transfer-shares.js';
import { aboveItsShare, nextKind, nextTurn, withMoreWork, type Turn } from './transfer-turns.js';
import { WindowMemory } from './window-memory.js';

/** Who wants a connection, and for how much work. */
export interface Claim {
  /** The kind of the operation; `''` for none. */
  readonly kind: string;
  readonly pullId: string;
  /** Work that is left, in bytes; it is asked for whenever somebody has to be chosen. */
  readonly remainingBytes: () => number;
  /**
   * Called at most once per permit: it is somebody else's turn; release soon. May release at once, and is called within
   * calls of others to the budget.
   */
  readonly onYield: () => void;
}

/**
 * What all blobs of a puller share: connections and the memory for bytes that came ahead of their turn; first shared
 * fairly between kinds of operation, then between the pulls of a kind, so that twenty pulls of apps do not starve one of
 * a database.
 */
export interface TransferBudget {
  /** Waits for the right to one connection. Rejects with the signal's own reason. */
  connection(claim: Claim, signal: AbortSignal): Promise<Permit>;
  /**
   * One more at once, when one is free, nobody waits for it and nobody else has a better right to it; else null. It is
   * to be short, as one range is: it is never asked for again.
   */
  tryConnection(claim: Taker): Permit | null;
  /**
   * Memory for so many bytes ahead of the one that is written next; null when there is none left, or it would be more
   * than this one's fair share.
   */
  tryWindow(claim: Taker, bytes: number): Permit | null;
}

/** What there is to share. */
export interface TransferBudgetOptions {
  readonly maxConnections: number;
  readonly maxWindowBytes: number;
}

/** How long work waits until whoever has more left makes room for it: less than a person takes for a standstill. */
const patienceMs = 1_000;
/** How long somebody who was asked may take before another one is asked: by then one that stalled has been given up. */
const yieldMs = 4_000;
/** How long a pull that was refused a connection keeps the others from taking more than their parts. */
const rememberedWishMs = 1_000;
/** Every so manieth turn of a kind goes to whoever waits longest: a stream of small blobs must not hold up a large one for ever. */
const longestFirstEvery = 8;
/** Kinds whose last turn is remembered: they are a few words of the host's, unless it invents one for each operation. */
const maxKinds = 1_000;

/** Makes the budget of one puller. No timer runs while nobody waits. */
export function createTransferBudget(options: TransferBudgetOptions): TransferBudget {
  const shares = new TransferShares();
  const connections = new Connections(options.maxConnections, shares);
  const memory = new WindowMemory(options.maxWindowBytes, shares);
  return {
    connection: (claim, signal) => connections.wait(claim, signal),
    tryConnection: (taker) => connections.tryOne(taker),
    tryWindow: (taker, bytes) => memory.tryTake(taker, bytes),
  };
}

interface Waiter extends Turn {
  readonly claim: Claim;
  readonly grant: () => void;
  /** When it next looks for somebody to make room for it. */
  dueMs: number;
  isPromised: boolean;
}

interface Holder extends Turn {
  readonly claim: Claim;
  askedAtMs: number | null;
}

class Connections {
  readonly #most: number;
  readonly #shares: TransferShares;
  /** In the order in which they came. While there are any, no connection is free. */
  readonly #waiters = new Set<Waiter>();
  /** Those that can be asked for their connection again, in the order in which they got it. */
  readonly #holders = new Set<Holder>();
  readonly #servedAt = createBoundedMap<string, number>(maxKinds);
  readonly #turnsOf = new WeakMap<KindShare, number>();
  readonly #refusedAtMs = new WeakMap<PullShare, number>();
  #held = 0;
  #promised = 0;
  #turns = 0;
  #timer: LoopTimer | null = null;

  constructor(most: number, shares: TransferShares) {
    this.#most = most;
    this.#shares = shares;
  }

  wait(claim: Claim, signal: AbortSignal): Promise<Permit> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    const pull = this.#shares.of(claim);
    if (this.#held < this.#most) return Promise.resolve(this.#lend(claim, pull));
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        claim,
        pull,
        remainingBytes: () => claim.remainingBytes(),
        grant: () => {
          forgetSignal();
          const permit = this.#lend(claim, pull);
          this.#leave(waiter);
          resolve(permit);
        },
        dueMs: loopMs() + patienceMs,
        isPromised: false,
      };
      const forgetSignal = onAbort(signal, (reason) => {
        this.#leave(waiter);
        reject(reason);
      });
      this.#waiters.add(waiter);
      this.#shares.add(pull, 'waiting', 1);
      this.#watch();
      this.#askForShare(waiter);
    });
  }

  tryOne(taker: Taker): Permit | null {
    const pull = this.#shares.of(taker);
    if (this.#held === this.#most || this.#leavesTooLittle(pull)) {
      this.#refusedAtMs.set(pull, loopMs());
      return null;
    }
    return this.#hold(pull, () => undefined);
  }

  /** Whether one more for this pull would be at the expense of somebody with a better right to it. */
  #leavesTooLittle(pull: PullShare): boolean {
    const { kind } = pull;
    const kindPart = atLeastOne(this.#most / this.#shares.kindsWith(kind));
    if (kind.held >= kindPart) {
      for (const other of this.#shares.kinds.values()) if (other !== kind && other.held < kindPart) return true;
    }
    // Most pulls never want a second connection: what they have a right to is only kept for those that do.
    const pullPart = atLeastOne(kindPart / this.#shares.pullsWith(pull));
    if (pull.held < pullPart) return false;
    const sinceMs = loopMs() - rememberedWishMs;
    for (const other of kind.pulls.values()) {
      if (other !== pull && other.held < pullPart && (this.#refusedAtMs.get(other) ?? -Infinity) > sinceMs) return true;
    }
    return false;
  }

  #lend(claim: Claim, pull: PullShare): Permit {
    const holder: Holder = { claim, pull, remainingBytes: () => claim.remainingBytes(), askedAtMs: null };
    this.#holders.add(holder);
    return this.#hold(pull, () => {
      this.#holders.delete(holder);
      if (holder.askedAtMs !== null) this.#shares.add(pull, 'asked', -1);
    });
  }

  #hold(pull: PullShare, onRelease: () => void): Permit {
    this.#held += 1;
    this.#shares.add(pull, 'held', 1);
    this.#turns += 1;
    this.#servedAt.set(pull.kind.kind, this.#turns);
    return permitFor(() => {
      onRelease();
      this.#held -= 1;
      this.#shares.add(pull, 'held', -1);
      this.#serveNext();
    });
  }

  #serveNext(): void {
    const kind = nextKind(this.#shares.kinds.values(), (each) => this.#servedAt.get(each.kind) ?? 0);
    if (kind === null) return;
    const turns = (this.#turnsOf.get(kind) ?? 0) + 1;
    this.#turnsOf.set(kind, turns);
    nextTurn(this.#waiters, kind, turns % longestFirstEvery === 0)?.grant();
  }

  #leave(waiter: Waiter): void {
    this.#waiters.delete(waiter);
    this.#promise(waiter, false);
    this.#shares.add(waiter.pull, 'waiting', -1);
    if (this.#waiters.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Who was promised a connection does not ask for one: so many are asked for as are wanted, and no more. */
  #promise(waiter: Waiter, isPromised: boolean): void {
    if (waiter.isPromised === isPromised) return;
    const change = isPromised ? 1 : -1;
    waiter.isPromised = isPromised;
    this.#promised += change;
    this.#shares.add(waiter.pull, 'promised', change);
  }

  /** Somebody who holds less than is fair need not wait until somebody who holds more is done. */
  #askForShare(waiter: Waiter): void {
    // What was taken to be short comes back by itself.
    const isComing = this.#asked() + (this.#held - this.#holders.size) > this.#promised;
    const above = aboveItsShare(waiter, this.#unasked(), this.#most / this.#shares.kinds.size);
    if (above === null) return;
    this.#promise(waiter, true);
    if (!isComing) this.#ask(above);
  }

  /** Those that have waited long look for somebody who is above its share, or has more to do than they have. */
  #askForPatient(): void {
    const nowMs = loopMs();
    const due = [...this.#waiters].filter(({ dueMs }) => dueMs <= nowMs);
    const byWork = due
      .map((waiter) => ({ waiter, bytes: waiter.remainingBytes() }))
      .toSorted((a, b) => a.bytes - b.bytes);
    for (const { waiter } of byWork) {
      // One that was asked may have given way at once, and another one of these was served.
      if (!this.#waiters.has(waiter)) continue;
      waiter.dueMs = nowMs + patienceMs;
      this.#promise(waiter, false);
      const isComing = this.#asked() > this.#promised;
      const holder = isComing
        ? null
        : (aboveItsShare(waiter, this.#unasked(), this.#most / this.#shares.kinds.size) ??
          withMoreWork(waiter, this.#unasked()));
      if (!isComing && holder === null) continue;
      this.#promise(waiter, true);
      if (holder !== null) this.#ask(holder);
    }
  }

  #ask(holder: Holder): void {
    holder.askedAtMs = loopMs();
    this.#shares.add(holder.pull, 'asked', 1);
    holder.claim.onYield();
  }

  #unasked(): Holder[] {
    return [...this.#holders].filter(({ askedAtMs }) => askedAtMs === null);
  }

  /** Connections that were asked for and are still expected. */
  #asked(): number {
    const sinceMs = loopMs() - yieldMs;
    let asked = 0;
    for (const { askedAtMs } of this.#holders) if (askedAtMs !== null && askedAtMs > sinceMs) asked += 1;
    return asked;
  }

  #watch(): void {
    if (this.#timer !== null || this.#waiters.size === 0) return;
    const firstMs = Math.min(...[...this.#waiters].map(({ dueMs }) => dueMs));
    this.#timer = startLoopTimer(Math.max(1, firstMs - loopMs()), () => {
      this.#timer = null;
      this.#askForPatient();
      this.#watch();
    });
  }
}

function atLeastOne(part: number): number {
  return Math.max(1, Math.floor(part));
}
