import type { Phase } from '../vocabulary/phase.js';
import type { KindTotals, OperationOutcome, OutcomeCounts } from './incident.js';

/** What is counted of one operation. */
export interface Counted {
  readonly kind: string | null;
  readonly phases: readonly Phase[];
  readonly outcome: OperationOutcome;
}

type MutableCounts = Record<OperationOutcome, number>;

interface MutableTotals {
  readonly kind: string | null;
  pulls: number;
  readonly affected: MutableCounts;
  readonly byPhase: Readonly<Record<Phase, MutableCounts>>;
}

/** Kinds are the host's own few words; one that makes up a kind per operation must not fill the memory. */
const maxKinds = 32;

/** The kind under which those beyond the bound are counted. */
const otherKinds = '(other kinds)';

/** Counts operations by kind, phase and outcome. */
export class KindCounts {
  readonly #totals = new Map<string | null, MutableTotals>();

  constructor(before: readonly KindTotals[] = []) {
    for (const { kind, pulls, affected, byPhase } of before) {
      this.#totals.set(kind, {
        kind,
        pulls,
        affected: { ...affected },
        byPhase: {
          metadata: { ...byPhase.metadata },
          layers: { ...byPhase.layers },
          extract: { ...byPhase.extract },
        },
      });
    }
  }

  ran(kind: string | null): void {
    this.#of(kind).pulls += 1;
  }

  affected({ kind, phases, outcome }: Counted): void {
    const totals = this.#of(kind);
    totals.affected[outcome] += 1;
    for (const phase of phases) totals.byPhase[phase][outcome] += 1;
  }

  /** The totals, with those that still run counted in. */
  snapshot(running: readonly Counted[]): readonly KindTotals[] {
    const counts = new KindCounts([...this.#totals.values()]);
    for (const each of running) counts.affected(each);
    return [...counts.#totals.values()];
  }

  #of(kind: string | null): MutableTotals {
    const known = this.#totals.get(kind);
    if (known !== undefined) return known;
    if (this.#totals.size >= maxKinds && kind !== otherKinds) return this.#of(otherKinds);
    const totals: MutableTotals = {
      kind,
      pulls: 0,
      affected: noCounts(),
      byPhase: { metadata: noCounts(), layers: noCounts(), extract: noCounts() },
    };
    this.#totals.set(kind, totals);
    return totals;
  }
}

function noCounts(): MutableCounts {
  return { saved: 0, late: 0, failed: 0, aborted: 0, running: 0 };
}

/** All of them together. */
export function sumOf(totals: readonly KindTotals[]): OutcomeCounts {
  const sum = noCounts();
  for (const { affected } of totals) {
    for (const outcome of ['saved', 'late', 'failed', 'aborted', 'running'] as const) sum[outcome] += affected[outcome];
  }
  return sum;
}
