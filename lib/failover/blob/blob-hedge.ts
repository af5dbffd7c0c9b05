import { judge } from '../../health/verdict.js';
import { loopMs } from '../../policy/loop-timer.js';
import type { Reason } from '../../vocabulary/reason.js';
import type { Candidate } from '../candidate.js';
import type { HeartContext } from '../context.js';
import type { WantedBlob } from './assembly.js';
import type { BlobWindow } from './blob-window.js';
import type { Flight } from './flight.js';
import { letFly } from './late-flight.js';

/** So much brought while its hedge had nothing to show, and a late one is not late any more. */
const recoveredBytes: number = 64 * 1024;

/** The flight everybody waits for, and the one that was asked for the same bytes. */
interface Race {
  readonly late: Flight;
  readonly hedge: Flight;
  readonly lateArrived: number;
  readonly delayMs: number;
  readonly startedAtMs: number;
  /** Of the budget. */
  readonly bytes: number;
}

/** A flight was overtaken by one of another registry. */
export interface Overtaken {
  readonly late: Candidate;
  readonly by: Candidate;
  /** What a stall would have been told with. */
  readonly reason: Reason;
}

/** The hedge of one blob: at most one race at a time, for the bytes that come next. */
export class BlobHedge {
  readonly #context: HeartContext;
  readonly #blob: WantedBlob;
  readonly #window: BlobWindow;
  #race: Race | null = null;

  constructor(context: HeartContext, blob: WantedBlob, window: BlobWindow) {
    this.#context = context;
    this.#blob = blob;
    this.#window = window;
  }

  /** How many bytes may be asked of somebody else too; 0 where the budget is spent. */
  reserve(bytes: number): number {
    return this.#context.transfer.hedgeBytes.take(bytes);
  }

  /** From now on these two race for the bytes from where the hedge begins. */
  begin(late: Flight, hedge: Flight, delayMs: number): void {
    const bytes = hedge.to - hedge.from;
    this.#race = { late, hedge, lateArrived: late.arrived, delayMs, startedAtMs: loopMs(), bytes };
  }

  /** Whom the hedge was sent to; null while there is none. */
  get candidate(): Candidate | null {
    return this.#race?.hedge.candidate ?? null;
  }

  /** Gives up a hedge that is late as well, so that somebody else can be asked; false where it is not. */
  giveUpLate(): boolean {
    const race = this.#race;
    if (race === null) return false;
    const { hedge, startedAtMs } = race;
    const patienceMs = this.#context.hedge.firstByteMs(hedge.candidate.registry);
    const isLate = hedge.end === null && hedge.holdsConnection && hedge.arrived === hedge.from;
    if (!isLate || loopMs() - startedAtMs < patienceMs) return false;
    this.#end(race);
    this.#window.remove(hedge);
    letFly(this.#context, hedge);
    this.#context.sources.suspect(hedge.candidate, 'layers');
    return true;
  }

  /** Looks how the race stands; tells when the late one has lost it. */
  settle(offset: number): Overtaken | null {
    const race = this.#race;
    if (race === null) return null;
    const { late, hedge } = race;
    const { sources } = this.#context;
    if (hedge.has(offset) && !late.has(offset)) {
      this.#race = null;
      sources.hedged(hedge.candidate, this.#blob.digest, 'won');
      this.#context.transfer.hedgeBytes.giveBack(race.bytes);
      // One that has failed by itself is somebody else's business.
      if (late.end !== null) return null;
      const reason = this.#lateReason(race);
      this.#window.remove(late);
      letFly(this.#context, late);
      sources.suspect(late.candidate, 'layers');
      return { late: late.candidate, by: hedge.candidate, reason };
    }
    if (hedge.end !== null && !hedge.covers(offset)) {
      this.#end(race);
    } else if (late.arrived - race.lateArrived >= recoveredBytes || (late.end !== null && late.end.kind === 'landed')) {
      this.#end(race);
      this.#window.remove(hedge);
      hedge.cancel();
    }
    return null;
  }

  /** Ends a race that nobody has won. */
  clear(): void {
    if (this.#race !== null) this.#end(this.#race);
  }

  #end({ hedge, bytes }: Race): void {
    this.#race = null;
    this.#context.sources.hedged(hedge.candidate, this.#blob.digest, 'lost');
    this.#context.transfer.hedgeBytes.giveBack(bytes - (hedge.arrived - hedge.from));
  }

  #lateReason({ late, delayMs }: Race): Reason {
    const bytes = late.arrived - late.from;
    const limit = bytes === 0 ? 'layers.firstByteMs' : 'layers.stallMs';
    return judge(
      { evidence: { kind: 'limit', limit, value: delayMs, bytes }, phase: 'layers' },
      { registry: late.candidate.registry, object: this.#blob.digest },
    ).reason;
  }
}
