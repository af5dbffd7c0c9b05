import { monotonicMs } from '../../clock/time.js';
import { loopMs } from '../../policy/loop-timer.js';
import type { Candidate } from '../candidate.js';
import type { HeartContext } from '../context.js';
import type { Permit } from '../permit.js';
import type { Assembly } from './assembly.js';
import { BlobHedge, type Overtaken } from './blob-hedge.js';
import { BlobWindow, type Taken } from './blob-window.js';
import { Flight, type FlightPlan } from './flight.js';
import { HeadWatch } from './head-watch.js';
import { LeftQueueError } from './leave-queue.js';
import { Proof } from './proof.js';
import { ReadAhead } from './read-ahead.js';

/** What the flight that is waited for may hold: what arrives goes on at once. */
const headWaitingBytes: number = 64 * 1024;

/** Who is asked for what comes next, until it fails. */
export interface Ask {
  readonly candidate: Candidate;
  /** No other candidate is left that could do better: it gets more time, and no floor. */
  readonly isLast: boolean;
  /** Nobody else may bring a byte. */
  readonly isAlone: boolean;
  /** Whether somebody else has not had a turn yet. */
  readonly mayLeaveFor: (other: Candidate) => boolean;
  /** The first byte that counts: work has moved to this candidate. */
  readonly onFirstByte: () => void;
}

/** How asking one candidate ended that did not fail. */
export type Delivered =
  | 'complete'
  /** Somebody else should go on: it was overtaken, failed or was late elsewhere, or wants to be left alone. */
  | 'left';

/** What the fetch of a blob is told of its delivery. */
export interface DeliveryListener {
  /** Those that may bring bytes of this blob now, best first. */
  readonly eligible: () => readonly Candidate[];
  readonly overtaken: (overtaken: Overtaken) => void;
  /** Somebody failed beside the one who is asked. */
  readonly failedBeside: (candidate: Candidate, error: unknown, startedAtMs: number) => void;
}

/**
 * Brings the bytes of one blob into its assembly, in order, whoever of its flights brings them. There is one flight that
 * brings what comes next, made by whoever is asked; beside it those that read ahead, and a hedge while it is late.
 */
export class BlobDelivery {
  readonly #context: HeartContext;
  readonly #assembly: Assembly;
  readonly #listener: DeliveryListener;
  readonly #window: BlobWindow = new BlobWindow();
  readonly #ahead: ReadAhead;
  readonly #hedge: BlobHedge;
  /** Those that had their chance to bring something beside: a source that fails there is only asked in its turn. */
  readonly #failedBeside = new Set<Candidate>();
  /** Leaves the ramps of the registries that are drawn from. */
  readonly #ramps = new Map<Candidate, () => void>();
  #ask: Ask | null = null;
  #permit: Permit | null = null;
  #mustYield = false;
  /** An operator wants somebody else to be asked instead of the one whose turn it is. */
  #isOutranked = false;

  constructor(context: HeartContext, assembly: Assembly, listener: DeliveryListener) {
    this.#context = context;
    this.#assembly = assembly;
    this.#listener = listener;
    this.#hedge = new BlobHedge(context, assembly, this.#window);
    this.#ahead = new ReadAhead(context, assembly, this.#window, {
      sources: () => this.#besides(),
      start: (candidate, from, to) => this.#startBeside(candidate, from, to),
    });
  }

  /**
   * Lets one candidate bring what comes next, until the blob is complete or somebody else should go on.
   *
   * @throws ExchangeError of this candidate, SinkError, LeftQueueError, or the signal's own reason
   */
  async deliver(ask: Ask): Promise<Delivered> {
    const { signal } = this.#context;
    const watch = new HeadWatch(this.#context, (late, delayMs) => this.#startHedge(ask, late, delayMs));
    this.#ask = ask;
    const { sources } = this.#context;
    const stops = [
      sources.onSuspicion(this.#window.tell),
      sources.steering.onSteered(() => {
        this.#moveAway(ask);
      }),
    ];
    this.#isOutranked = false;
    const hadFailed = sources.hasFailed(ask.candidate, 'layers');
    const proof = new Proof();
    let own: Flight | null = null;
    let isFirst = true;
    try {
      await this.#enter(ask);
      for (;;) {
        const { offset, isComplete } = this.#assembly;
        if (isComplete) return 'complete';
        signal.throwIfAborted();
        if (this.#mustYield) {
          own?.cut();
          watch.pause();
          await this.#enter(ask);
        }
        if (this.#settleRace(offset) === ask.candidate) return 'left';
        const taken = this.#window.take(offset);
        if (taken !== null) {
          if (isFirst && taken.from.candidate === ask.candidate) {
            isFirst = false;
            ask.onFirstByte();
          }
          this.#learnFrom(taken, proof);
          await this.#hand(taken, watch);
          continue;
        }
        if (own?.end?.kind === 'failed' && own.arrived <= offset) throw own.end.error;
        if (this.#window.covering(offset) === null) {
          if (this.#mustLeave(ask, hadFailed)) return 'left';
          own = this.#startOwn(ask, offset);
        }
        this.#ahead.fill(offset);
        watch.waitFor(this.#window.covering(offset));
        await this.#news();
      }
    } finally {
      for (const stop of stops) stop();
      watch.close();
      this.#leave();
    }
  }

  /** Ends all that is under way; what has come and was not handed on is lost. */
  clear(): void {
    this.#hedge.clear();
    this.#window.clear();
    this.#ahead.clear();
    for (const leave of this.#ramps.values()) leave();
    this.#ramps.clear();
  }

  /** Waits for its turn to hold a connection. */
  async #enter({ candidate, isLast }: Ask): Promise<void> {
    const { sources, signal, transfer } = this.#context;
    const hadFailed = sources.hasFailed(candidate, 'layers');
    this.#leave();
    const claim = {
      ...transfer.claim,
      remainingBytes: () => this.#assembly.size - this.#assembly.offset,
      onYield: () => {
        // At once: what it brings may be waiting for a slow reader, for ever.
        this.#leave();
        this.#mustYield = true;
        this.#window.tell();
      },
    };
    this.#permit = await transfer.budget.connection(claim, signal);
    if (!isLast && !hadFailed && sources.hasFailed(candidate, 'layers')) throw new LeftQueueError();
  }

  #leave(): void {
    this.#permit?.release();
    this.#permit = null;
    this.#mustYield = false;
  }

  /** A suspect that nobody is left to take the work from may deliver again. */
  #learnFrom({ chunk, from: { candidate } }: Taken, proof: Proof): void {
    const { sources } = this.#context;
    if (candidate !== this.#ask?.candidate || !sources.isSuspect(candidate, 'layers')) return;
    if (proof.add(chunk.length)) sources.trust(candidate, 'layers');
  }

  async #hand({ chunk, from }: Taken, watch: HeadWatch): Promise<void> {
    watch.pause();
    await this.#assembly.add(chunk, from.candidate.registry);
  }

  async #news(): Promise<void> {
    const sinceMs = loopMs();
    await this.#window.news();
    const waitedMs = loopMs() - sinceMs;
    for (const candidate of this.#ramps.keys()) this.#context.transfer.ramps.of(candidate.registry).waited(waitedMs);
  }

  /** Who has been overtaken, if anybody has. */
  #settleRace(offset: number): Candidate | null {
    const overtaken = this.#hedge.settle(offset);
    if (overtaken === null) return null;
    this.#listener.overtaken(overtaken);
    return overtaken.late;
  }

  /** Whether its next request should be somebody else's, for what it did elsewhere or beside since it was its turn. */
  #mustLeave(ask: Ask, hadFailed: boolean): boolean {
    const { candidate, isAlone } = ask;
    const { sources } = this.#context;
    if (this.#isOutranked || !this.#listener.eligible().includes(candidate)) return true;
    const isWell = !sources.isSuspect(candidate, 'layers') && (hadFailed || !sources.hasFailed(candidate, 'layers'));
    return !isAlone && !isWell && this.#hasOthers(ask, candidate);
  }

  /** Whether what one candidate was to bring would be somebody's who is trusted. */
  #hasOthers(ask: Ask, but: Candidate): boolean {
    return this.#trusted(but).some((other) => other === ask.candidate || ask.mayLeaveFor(other));
  }

  /** Those that neither failed nor are suspect, but for this one. */
  #trusted(but: Candidate): readonly Candidate[] {
    return this.#listener.eligible().filter((other) => other !== but && this.#isTrusted(other));
  }

  #isTrusted(candidate: Candidate): boolean {
    const { sources } = this.#context;
    return !sources.hasFailed(candidate, 'layers') && !sources.isSuspect(candidate, 'layers');
  }

  /** Those that may bring what comes later: one, unless the pull draws from all at once. */
  #besides(): readonly Candidate[] {
    const ask = this.#ask;
    if (ask === null) return [];
    const { sources, transfer } = this.#context;
    const mayHelp = (candidate: Candidate): boolean =>
      !this.#failedBeside.has(candidate) && !sources.isSuspect(candidate, 'layers');
    const own = mayHelp(ask.candidate) ? [ask.candidate] : [];
    if (ask.isAlone || !transfer.settings.spread) return own;
    return [...own, ...this.#trusted(ask.candidate).filter(mayHelp)];
  }

  #startOwn({ candidate, isLast }: Ask, offset: number): Flight {
    return this.#start({
      candidate,
      from: offset,
      to: this.#ahead.endOf(offset),
      isLast,
      maxWaitingBytes: headWaitingBytes,
      takesWhole: true,
    });
  }

  #startBeside(candidate: Candidate, from: number, to: number): Flight {
    const isLast = this.#ask?.candidate === candidate && this.#ask.isLast;
    const flight = this.#start({ candidate, from, to, isLast, maxWaitingBytes: Infinity, takesWhole: false });
    const startedAtMs = monotonicMs();
    flight.whenLetGo(() => {
      const { end } = flight;
      if (end === null || end.kind === 'landed') return;
      this.#failedBeside.add(candidate);
      if (end.kind === 'no-ranges' || end.error instanceof LeftQueueError || this.#context.signal.aborted) return;
      this.#listener.failedBeside(candidate, end.error, startedAtMs);
    });
    return flight;
  }

  #startHedge(ask: Ask, late: Flight, delayMs: number): void {
    if (ask.isAlone) return;
    if (this.#context.sources.isSuspect(late.candidate, 'layers')) {
      if (this.#hasOthers(ask, late.candidate)) this.#giveUp(late.candidate);
      return;
    }
    const [candidate] = this.#trusted(late.candidate).filter(
      (other) => !this.#failedBeside.has(other) && other !== this.#hedge.candidate,
    );
    if (candidate === undefined || (this.#hedge.candidate !== null && !this.#hedge.giveUpLate())) return;
    const { offset } = this.#assembly;
    const bytes = this.#hedge.reserve(Math.min(late.to - offset, this.#context.transfer.settings.rangeBytes));
    if (bytes === 0) {
      // When the late one fails at last, the next one is asked over a connection that is open already.
      if (this.#context.transfer.settings.hedge.budget > 0) void candidate.client.warm(this.#context.signal);
      return;
    }
    this.#hedge.begin(late, this.#startBeside(candidate, offset, offset + bytes), delayMs);
  }

  /** An operator changed whom to ask: whoever is not to bring these bytes any more stops where it is. */
  #moveAway(ask: Ask): void {
    const { sources } = this.#context;
    const eligible = this.#listener.eligible();
    const [first] = eligible.filter((other) => other === ask.candidate || this.#isTrusted(other));
    this.#isOutranked = first !== undefined && first !== ask.candidate && !ask.isAlone && ask.mayLeaveFor(first);
    for (const flight of this.#window.open) {
      const isLeft = this.#isOutranked && flight.candidate === ask.candidate;
      if (isLeft || sources.steering.isBarred(flight.candidate, 'layers')) flight.cut();
    }
    this.#window.tell();
  }

  /** One that was late elsewhere is late here too: whatever it was to bring is for those who are trusted. */
  #giveUp(candidate: Candidate): void {
    for (const flight of this.#window.open) if (flight.candidate === candidate) flight.cut();
  }

  #start(plan: Omit<FlightPlan, 'context' | 'blob' | 'onNews'>): Flight {
    const { candidate } = plan;
    const { ramps } = this.#context.transfer;
    if (this.#ahead.isWorthIt && !this.#ramps.has(candidate)) {
      const leave = ramps.of(candidate.registry).join(() => this.#assembly.size - this.#assembly.offset);
      this.#ramps.set(candidate, leave);
    }
    const flight = new Flight({ ...plan, context: this.#context, blob: this.#assembly, onNews: this.#window.tell });
    this.#window.add(flight);
    return flight;
  }
}
