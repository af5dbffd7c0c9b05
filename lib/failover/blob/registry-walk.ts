import { monotonicMs } from '../../clock/time.js';
import { judge } from '../../health/verdict.js';
import { backoffMs } from '../../policy/backoff.js';
import { sleep } from '../../policy/deadline.js';
import type { Reason } from '../../vocabulary/reason.js';
import type { Assembly } from './assembly.js';
import type { Candidate } from '../candidate.js';
import type { HeartContext } from '../context.js';
import { BlobDelivery, type Delivered } from './blob-delivery.js';
import type { Overtaken } from './blob-hedge.js';
import { TooLittleError } from './delivery-floor.js';
import { LeftQueueError } from './leave-queue.js';
import { judgeThrown, SinkError, stopError, type Judged } from '../failure.js';
import { exhausted, waitForLimited } from '../limited.js';

/** Walks over all candidates in a row that brought not one new byte, before the blob is given up. */
const maxIdleRounds = 3;
/** Tries of one candidate in a row while its verdict is `again` and it brings nothing new. */
const maxAgain = 2;
const againPauseMs = { baseMs: 50, maxMs: 500 };
const roundPauseMs = { baseMs: 250, maxMs: 4_000 };
/** Assemblies of several sources that had a wrong digest, before the blob is given up: nobody can be named any more. */
const maxMismatches = 4;

/** What became of a blob all of whose bytes had arrived. */
type Settled =
  /** They are right, and in the sink. */
  | 'verified'
  /** Those that an earlier pull had kept may be what was wrong: whoever brought the others is asked for all of them. */
  | 'start-over'
  /** Somebody lied. */
  | 'wrong';

/**
 * Whom to ask for one blob, in which order, and what follows when somebody fails: one turn after another until the blob is
 * complete and right, in rounds until nobody is left who could bring it.
 */
export class RegistryWalk {
  readonly #context: HeartContext;
  readonly #assembly: Assembly;
  readonly #delivery: BlobDelivery;
  /** Candidates that cannot serve this blob: they do not have it, may not give it, or lied. */
  readonly #ruledOut = new Set<Candidate>();
  /** Candidates that lied. One may have been ruled out for another reason before it was found out. */
  readonly #liars = new Set<Candidate>();
  /** Candidates whose bytes were part of a mixture with a wrong digest. */
  readonly #tainted = new Set<string>();
  /** Those that had their turn in this walk. */
  readonly #asked = new Set<Candidate>();
  /** Whose turn it is. */
  #turn: Candidate | null = null;
  /** Candidates that had a redirect refused once already; a fresh one was asked for. */
  readonly #refreshed = new Set<Candidate>();
  #mismatches = 0;
  /** The furthest byte reached; bytes that only replace thrown away ones are not new, or rounds would never end. */
  #reached: number;
  /** Who has the work, and why it lost it. */
  #holder: Candidate | null = null;
  #lost: Judged | null = null;

  constructor(context: HeartContext, assembly: Assembly) {
    this.#context = context;
    this.#assembly = assembly;
    this.#reached = assembly.offset;
    this.#delivery = new BlobDelivery(context, assembly, {
      eligible: () => this.#askable(),
      overtaken: (overtaken) => this.#overtaken(overtaken),
      failedBeside: (candidate, error, startedAtMs) => this.#failedBeside(candidate, error, startedAtMs),
    });
  }

  async run(): Promise<void> {
    try {
      await this.#complete();
    } finally {
      this.#delivery.clear();
    }
  }

  async #complete(): Promise<void> {
    const context = this.#context;
    if (this.#assembly.isComplete && (await this.#settle()) === 'verified') return;
    let idleRounds = 0;
    let waited = 0;
    for (;;) {
      const before = this.#reached;
      const mismatchesBefore = this.#mismatches;
      if (await this.#walk()) return;
      // A mixture that turned out wrong was whole before it was thrown away.
      if (this.#reached > before || this.#mismatches > mismatchesBefore) {
        idleRounds = 0;
        waited = 0;
      } else {
        idleRounds += 1;
      }
      const left = this.#candidates();
      const limited = left.filter((candidate) => context.sources.limitedUntilMs(candidate, 'layers') !== null);
      const onlyLimited = limited.length === left.length;
      if (left.length === 0 || this.#mismatches >= maxMismatches) throw exhausted(context, 'layers');
      if (onlyLimited || idleRounds >= maxIdleRounds) {
        if (!(await waitForLimited(context, 'layers', limited, waited))) throw exhausted(context, 'layers');
        waited += 1;
      } else {
        await sleep(backoffMs(idleRounds, roundPauseMs), context.signal);
      }
    }
  }

  /** Those that may be asked, in the order to ask them; after a mixture went wrong, those that had no part in it first. */
  #candidates(): readonly Candidate[] {
    const isTainted = (candidate: Candidate): number => (this.#tainted.has(candidate.registry) ? 1 : 0);
    const { sources, transfer } = this.#context;
    const order = transfer.settings.spread ? sources.orderSpread() : sources.order('layers');
    return order.filter((candidate) => !this.#ruledOut.has(candidate)).toSorted((a, b) => isTainted(a) - isTainted(b));
  }

  /** Those of them that do not want to be left alone now. */
  #askable(): readonly Candidate[] {
    return this.#candidates().filter((candidate) => this.#context.sources.limitedUntilMs(candidate, 'layers') === null);
  }

  /** Asks the candidates one after another. True when the blob is in the sink. */
  async #walk(): Promise<boolean> {
    const asked = this.#asked;
    asked.clear();
    for (;;) {
      const [candidate, ...rest] = this.#askable().filter((other) => !asked.has(other));
      if (candidate === undefined || this.#mismatches >= maxMismatches) return false;
      asked.add(candidate);
      const asking = await this.#takeTurn(candidate, this.#isLast(candidate, rest));
      if (asking === 'complete') return true;
      // It has not failed in its turn: when those who go on in its place fail, it is asked again.
      if (asking === 'left') asked.delete(candidate);
    }
  }

  /** Whether nobody who has not failed in this pull is left after this candidate: it gets more time then. */
  #isLast(candidate: Candidate, rest: readonly Candidate[]): boolean {
    if (this.#context.sources.hasFailed(candidate, 'layers')) return rest.length === 0;
    return rest.every((other) => this.#context.sources.hasFailed(other, 'layers'));
  }

  async #takeTurn(candidate: Candidate, isLast: boolean): Promise<Delivered | 'failed'> {
    const endTurn = this.#context.sources.turnOf(candidate);
    try {
      return await this.#ask(candidate, isLast);
    } finally {
      endTurn();
    }
  }

  /** Asks one candidate, again while that may help. */
  async #ask(candidate: Candidate, isLast: boolean): Promise<Delivered | 'failed'> {
    // After a mixture went wrong, only a fetch from one source alone can tell who lied.
    const isAlone = this.#mismatches > 0;
    if (isAlone && this.#assembly.contributors.some((source) => source !== candidate.registry)) {
      await this.#startOver();
    } else if (isAlone) {
      // What somebody else has brought ahead is not to get in.
      this.#delivery.clear();
    }
    this.#holder ??= candidate;
    this.#turn = candidate;
    for (let fruitless = 0; ;) {
      const startedAtMs = monotonicMs();
      const before = this.#assembly.offset;
      try {
        const delivered = await this.#delivery.deliver({
          candidate,
          isLast,
          isAlone,
          mayLeaveFor: (other) => !this.#asked.has(other),
          onFirstByte: () => {
            this.#takeOver(candidate);
          },
        });
        if (delivered === 'left') return 'left';
        const settled = await this.#settle();
        if (settled === 'start-over') continue;
        return settled === 'verified' ? 'complete' : 'failed';
      } catch (error) {
        if (this.#context.signal.aborted) throw this.#context.signal.reason;
        if (error instanceof SinkError) throw error;
        if (error instanceof LeftQueueError) return 'failed';
        const judged = this.#judge(error, candidate);
        this.#writeDown(candidate, judged, startedAtMs);
        switch (judged.judgement.verdict) {
          case 'stop':
            throw stopError(judged.judgement, error);
          case 'next':
            this.#ruledOut.add(candidate);
            return 'failed';
          case 'ill':
            // Where it was only too slow, somebody who has not failed yet is left: let that one be asked alone.
            if (isAlone && this.#assembly.offset > before && !(error instanceof TooLittleError)) break;
            return 'failed';
          case 'limited':
            return 'failed';
          case 'again':
            fruitless = this.#assembly.offset > before ? 1 : fruitless + 1;
            if (fruitless > maxAgain) {
              this.#context.sources.sendLast(candidate, 'layers');
              return 'failed';
            }
        }
      } finally {
        this.#reached = Math.max(this.#reached, this.#assembly.offset);
      }
      await sleep(backoffMs(fruitless, againPauseMs), this.#context.signal);
    }
  }

  #judge(error: unknown, candidate: Candidate): Judged {
    const judged = judgeThrown(error, candidate, 'layers', this.#assembly.digest);
    const { evidence } = judged;
    // A redirect target that refuses may only have been signed for too short a time: once, a fresh one is asked for.
    if (evidence.kind !== 'status' || evidence.from !== 'storage' || this.#refreshed.has(candidate)) return judged;
    this.#refreshed.add(candidate);
    const stale = { ...evidence, stale: true };
    const judgement = judge(
      { evidence: stale, phase: judged.phase },
      { registry: candidate.registry, object: this.#assembly.digest },
    );
    return { ...judged, evidence: stale, judgement };
  }

  #writeDown(candidate: Candidate, judged: Judged, startedAtMs: number): void {
    if (candidate === this.#holder) this.#lost = judged;
    const { sources } = this.#context;
    const { judgement, phase } = judged;
    sources.failed({
      candidate,
      phase,
      object: this.#assembly.digest,
      judgement,
      startedAtMs,
      bytes: this.#assembly.offset,
    });
    if (phase !== 'metadata') return;
    // A token that cannot be had stops the blobs as much as their storage would.
    if (judgement.verdict === 'ill') sources.sendLast(candidate, 'layers');
    const limitedUntilMs = sources.limitedUntilMs(candidate, 'metadata');
    if (judgement.verdict === 'limited' && limitedUntilMs !== null) sources.limit(candidate, 'layers', limitedUntilMs);
  }

  #takeOver(candidate: Candidate): void {
    const from = this.#holder;
    if (from === null || from === candidate) return;
    const { sources } = this.#context;
    const reason =
      this.#lost?.judgement.reason ?? sources.steering.whyPassed(from, 'layers') ?? sources.lastReason(from);
    this.#moveWork(from, candidate, reason);
  }

  /** The work has moved; why it did is not told where nobody knows. */
  #moveWork(from: Candidate, to: Candidate, reason: Reason | null): void {
    this.#holder = to;
    this.#lost = null;
    if (reason === null) return;
    this.#context.sources.movedOver({
      phase: 'layers',
      from: from.registry,
      to: to.registry,
      reason,
      bytesKept: this.#assembly.offset,
      object: this.#assembly.digest,
    });
  }

  /** All bytes are there: commits them when they are right; else names the liar, or starts again to find out. */
  async #settle(): Promise<Settled> {
    const settlement = await this.#assembly.settle();
    if (settlement.kind === 'verified') {
      for (const liar of settlement.liars) this.#accuse(liar);
      return 'verified';
    }
    const { contributors, keptInvolved } = settlement;
    const [only, ...others] = contributors;
    if (only !== undefined && others.length === 0 && !keptInvolved) this.#accuse(only);
    if (others.length > 0) {
      this.#mismatches += 1;
      for (const contributor of contributors) this.#tainted.add(contributor);
      // Each may have to be asked alone now, whoever had a turn before: else the one that is left seems to be the last.
      for (const asked of this.#asked) if (contributors.includes(asked.registry)) this.#asked.delete(asked);
    }
    await this.#startOver();
    this.#reached = 0;
    return keptInvolved && others.length === 0 ? 'start-over' : 'wrong';
  }

  /** Throws away what has come, and what is on its way. */
  async #startOver(): Promise<void> {
    const { sources } = this.#context;
    const { contributions, digest } = this.#assembly;
    for (const candidate of sources.candidates) {
      const bytes = contributions.get(candidate.registry) ?? 0;
      if (bytes > 0) sources.wasted(candidate, digest, bytes);
    }
    this.#delivery.clear();
    await this.#assembly.restart();
  }

  /** Somebody else brings what one that is late was to bring: the work has moved, though nothing has failed yet. */
  #overtaken({ late, by, reason }: Overtaken): void {
    // It may have been left alone for a while earlier in this walk.
    this.#asked.delete(by);
    this.#moveWork(late, by, reason);
  }

  /** Somebody failed who was asked beside the one whose turn it is. */
  #failedBeside(candidate: Candidate, error: unknown, startedAtMs: number): void {
    const judged = this.#judge(error, candidate);
    this.#writeDown(candidate, judged, startedAtMs);
    // Whoever brings other parts of it has the blob: in its turn it is asked once more for what was missing.
    if (judged.judgement.verdict === 'next' && candidate !== this.#turn) this.#ruledOut.add(candidate);
  }

  /** A registry's bytes are proven wrong: it is ill, and serves this blob no more. */
  #accuse(registry: string): void {
    for (const candidate of this.#context.sources.candidates) {
      if (candidate.registry !== registry || this.#liars.has(candidate)) continue;
      this.#liars.add(candidate);
      this.#ruledOut.add(candidate);
      const failure = {
        evidence: { kind: 'content', code: 'digest-mismatch', from: 'registry' },
        phase: 'layers',
      } as const;
      const judgement = judge(failure, { registry, object: this.#assembly.digest });
      this.#writeDown(candidate, { ...failure, judgement }, monotonicMs());
    }
  }
}
