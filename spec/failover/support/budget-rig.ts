import type { Permit } from '../../../lib/failover/permit.js';
import { createTransferBudget, type TransferBudget } from '../../../lib/failover/transfer-budget.js';

/** What a claim of a spec is made with. */
export interface Wish {
  readonly kind?: string;
  readonly pullId?: string;
  /** Work that is left, in bytes; default 1,000. */
  readonly remainingBytes?: number;
  readonly signal?: AbortSignal;
  /** Whether it gives its permit back at once when it is asked to; default false. */
  readonly yieldsAtOnce?: boolean;
}

/** One claim, and what came of it. */
export interface Claimed {
  readonly kind: string;
  readonly pullId: string;
  remainingBytes: number;
  /** How often it was asked to make room. */
  readonly yields: number;
  /** How often its remaining work was looked at. */
  readonly looks: number;
  readonly isHeld: boolean;
  readonly isWaiting: boolean;
  /** Settles when it holds its permit, or with what it was rejected with. */
  readonly done: Promise<void>;
  release(): void;
}

/** A budget, and who was served in which order. */
export interface BudgetRig {
  readonly budget: TransferBudget;
  /** Those that were served after they had waited or at once, in this order. */
  readonly served: readonly Claimed[];
  /** Claims a connection; what follows at once has followed when this resolves. */
  want(wish?: Wish): Promise<Claimed>;
  release(...claimed: readonly Claimed[]): Promise<void>;
  /** Gives everything back and ends all that wait. */
  end(): Promise<void>;
}

const rigs = new Set<BudgetRig>();

/** Ends every rig that is open: whoever waits for a connection keeps the process alive. */
export async function endBudgetRigs(): Promise<void> {
  for (const rig of rigs) await rig.end();
}

/** Lets all promises that are settled be heard. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export function openBudgetRig(maxConnections: number, maxWindowBytes: number = 0): BudgetRig {
  const budget = createTransferBudget({ maxConnections, maxWindowBytes });
  const served: Claimed[] = [];
  const claims: Claimed[] = [];
  const ending = new AbortController();

  function claim(wish: Wish): Claimed {
    const { kind = 'app', pullId = 'a', signal = ending.signal } = wish;
    let permit: Permit | null = null;
    let isWaiting = true;
    let yields = 0;
    let looks = 0;
    // The budget may look at it and ask for it within the call that claims it.
    let { remainingBytes = 1_000 } = wish;
    const waits = budget.connection(
      {
        kind,
        pullId,
        remainingBytes: () => {
          looks += 1;
          return remainingBytes;
        },
        onYield: () => {
          yields += 1;
          if (wish.yieldsAtOnce === true) permit?.release();
          if (wish.yieldsAtOnce === true) permit = null;
        },
      },
      signal,
    );
    const claimed: Claimed = {
      kind,
      pullId,
      get remainingBytes() {
        return remainingBytes;
      },
      set remainingBytes(bytes) {
        remainingBytes = bytes;
      },
      get yields() {
        return yields;
      },
      get looks() {
        return looks;
      },
      get isHeld() {
        return permit !== null;
      },
      get isWaiting() {
        return isWaiting;
      },
      done: waits.then(
        (granted) => {
          permit = granted;
          isWaiting = false;
          served.push(claimed);
        },
        (error: unknown) => {
          isWaiting = false;
          throw error;
        },
      ),
      release: () => {
        permit?.release();
        permit = null;
      },
    };
    claimed.done.catch(() => undefined);
    claims.push(claimed);
    return claimed;
  }

  const rig: BudgetRig = {
    budget,
    served,
    want: async (wish = {}) => {
      const claimed = claim(wish);
      await settle();
      return claimed;
    },
    release: async (...all) => {
      for (const each of all) each.release();
      await settle();
    },
    end: async () => {
      rigs.delete(rig);
      ending.abort(new Error('the rig was ended'));
      for (let left = claims; left.length > 0; left = left.filter(({ isHeld }) => isHeld)) await rig.release(...left);
    },
  };
  rigs.add(rig);
  return rig;
}
