import type { BlobAnswer } from '../../distribution/client.js';
import { ExchangeError } from '../../distribution/wire-error.js';
import { deriveAbort, onAbort, type DerivedAbort } from '../../policy/deadline.js';
import { loopMs } from '../../policy/loop-timer.js';
import type { Digest } from '../../vocabulary/digest.js';
import type { Answerer } from '../../vocabulary/evidence.js';
import type { Candidate } from '../candidate.js';
import type { HeartContext } from '../context.js';
import { Arrivals } from './arrivals.js';
import type { WantedBlob } from './assembly.js';
import { watchBody } from './body-watch.js';
import type { ConnectionRamp } from './connection-ramp.js';
import { createDeliveryFloor, type DeliveryFloor } from './delivery-floor.js';
import { createFlightMeter, type FlightMeter } from './flight-meter.js';
import { leaveQueueWhenSentLast } from './leave-queue.js';

/** How a flight ended. */
export type FlightEnd =
  /** It brought all it was to bring, or as much as was wanted of it in the end. */
  | { readonly kind: 'landed' }
  | { readonly kind: 'failed'; readonly error: unknown }
  /** Asked for a part of the blob, the registry sends all of it. */
  | { readonly kind: 'no-ranges' };

/** A stretch of a blob that one registry is to bring. */
export interface FlightPlan {
  readonly context: HeartContext;
  readonly candidate: Candidate;
  readonly blob: WantedBlob;
  readonly from: number;
  /** Exclusive; the blob's size asks for all the rest. */
  readonly to: number;
  /** No other candidate is left that could do better: it gets more time, and no floor. */
  readonly isLast: boolean;
  /** Bytes that may wait to be taken before no more is read. */
  readonly maxWaitingBytes: number;
  /** Whether an answer that begins at byte 0 is put up with, and what comes too early passed over. */
  readonly takesWhole: boolean;
  /** Bytes arrived, it came to hold a connection or lost it, or it ended. */
  readonly onNews: () => void;
}

/**
 * One registry bringing one stretch of a blob over one connection: one request, more only where answers are shorter than
 * asked. What arrives waits here until it is taken, in order.
 */
export class Flight {
  readonly candidate: Candidate;
  readonly from: number;
  readonly #plan: FlightPlan;
  readonly #work: DerivedAbort;
  readonly #meter: FlightMeter;
  readonly #ramp: ConnectionRamp;
  readonly #stopFollowing: () => void;
  /** Called when the flight is over, however it ended. */
  readonly #onOver: (() => void)[] = [];
  /** Called when it is over or was overtaken. */
  readonly #onLetGo: (() => void)[] = [];
  #to: number;
  readonly #arrivals: Arrivals;
  #end: FlightEnd | null = null;
  #holdsConnection = false;
  #onTaken: (() => void) | null = null;
  /** Set once it was overtaken: nobody takes its bytes any more, and this hears of them. */
  #onDelivery: ((bytes: number) => void) | null = null;

  constructor(plan: FlightPlan) {
    this.#plan = plan;
    this.candidate = plan.candidate;
    this.from = plan.from;
    this.#to = plan.to;
    this.#arrivals = new Arrivals(plan.from, (bytes) => this.#tellWaste(bytes));
    const { context, candidate } = plan;
    // Not of the pull's own signal: one that was overtaken may outlive the pull.
    this.#work = deriveAbort(context.outliving);
    if (context.signal.aborted) this.#work.abort(context.signal.reason);
    this.#stopFollowing = context.signal.aborted ? () => undefined : onAbort(context.signal, this.#work.abort);
    this.#meter = createFlightMeter((measured) => context.sources.speedOf(candidate).add(measured));
    this.#ramp = context.transfer.ramps.of(candidate.registry);
    this.#onOver.push(context.sources.connected(candidate, plan.blob.digest), this.#ramp.connected());
    void this.#run();
  }

  get digest(): Digest {
    return this.#plan.blob.digest;
  }

  /** Exclusive; of one that has ended, what it brought. */
  get to(): number {
    return this.#end === null ? this.#to : this.arrived;
  }

  /** Up to where bytes have arrived. */
  get arrived(): number {
    return this.#arrivals.arrived;
  }

  /** Null while it is under way. */
  get end(): FlightEnd | null {
    return this.#end;
  }

  get holdsConnection(): boolean {
    return this.#holdsConnection;
  }

  /** Bytes that were asked for, and have not been taken. */
  get claimedBytes(): number {
    return this.#onDelivery === null ? this.to - this.#arrivals.taken : 0;
  }

  /** Whether the byte at `offset` is here, or still to come. */
  covers(offset: number): boolean {
    return offset >= this.#arrivals.taken && offset < this.to;
  }

  /** Whether the byte at `offset` is here. */
  has(offset: number): boolean {
    return offset >= this.#arrivals.taken && offset < this.arrived;
  }

  /** The next bytes from `offset` on; null when there are none yet. What comes before `offset` is thrown away. */
  take(offset: number): Uint8Array | null {
    const chunk = this.#arrivals.take(offset);
    if (chunk !== null) this.#onTaken?.();
    return chunk;
  }

  /** Wants no more than up to there: what the registry sends beyond is not read. */
  shorten(to: number): void {
    if (this.#end !== null || to >= this.#to) return;
    this.#to = Math.max(to, this.#arrivals.taken);
    this.#arrivals.shorten(this.#to);
    if (this.arrived >= this.#to) this.#finish({ kind: 'landed' });
  }

  /** Ends it where it is; what has arrived can still be taken. */
  cut(): void {
    this.shorten(this.arrived);
  }

  /** Ends it, and throws away what was not taken. */
  cancel(): void {
    this.#arrivals.discard();
    this.#finish({ kind: 'landed' });
  }

  /** Another one was faster: it goes on for itself, and nobody takes its bytes. */
  detach(onDelivery: (bytes: number) => void): void {
    this.#onDelivery = onDelivery;
    this.#stopFollowing();
    this.#arrivals.discard();
    this.#onTaken?.();
    for (const letGo of this.#onLetGo.splice(0)) letGo();
  }

  /** Hears that nothing more comes of it: it is over or was overtaken. */
  whenLetGo(listener: () => void): void {
    if (this.#end === null && this.#onDelivery === null) this.#onLetGo.push(listener);
    else listener();
  }

  /** Hears that it is over; at once where it is already. */
  whenOver(listener: () => void): void {
    if (this.#end === null) this.#onOver.push(listener);
    else listener();
  }

  async #run(): Promise<void> {
    // Whoever makes it wants to know it before it has news.
    await Promise.resolve();
    const { context, isLast } = this.#plan;
    const { minBytesPerSecond, windowMs } = context.limits.layers;
    const floor = createDeliveryFloor({
      minBytesPerSecond: () => Math.max(minBytesPerSecond, context.sources.floorBeside(this.candidate)),
      windowMs,
      holds: () => !isLast && context.sources.hasBetter(this.candidate, 'layers'),
    });
    try {
      while (this.#end === null) {
        const before = this.arrived;
        const answerer = await this.#request(floor);
        if (this.#end !== null) break;
        if (this.arrived >= this.#to) this.#finish({ kind: 'landed' });
        else if (answerer === null) this.#finish({ kind: 'no-ranges' });
        else if (this.arrived === before) throw this.#emptyAnswer();
        else floor.answerEnded(answerer);
      }
    } catch (error) {
      this.#finish({ kind: 'failed', error });
    }
  }

  #emptyAnswer(): ExchangeError {
    return new ExchangeError(`the answer ended at byte ${this.arrived} of ${this.#plan.blob.size}`, {
      evidence: { kind: 'content', code: 'length-mismatch', from: 'registry' },
      phase: 'layers',
    });
  }

  /** One request, and who answered it; null for an answer that is of no use here. */
  async #request(floor: DeliveryFloor): Promise<Answerer | null> {
    const { context, blob, isLast, takesWhole } = this.#plan;
    const { layers, lastCandidate } = context.limits;
    const patience = isLast ? lastCandidate : layers;
    const queue = leaveQueueWhenSentLast({ context, candidate: this.candidate, isLast }, this.#work.abort);
    let heldSinceMs: number | undefined;
    try {
      const answer = await this.candidate.client.openBlob({
        repository: this.candidate.repository,
        digest: blob.digest,
        size: blob.size,
        from: this.arrived,
        ...(this.#to < blob.size ? { to: this.#to } : {}),
        ...(blob.urls === undefined ? {} : { urls: blob.urls }),
        pullId: context.pullId,
        requestMs: context.limits.metadata.requestMs,
        firstByteMs: patience.firstByteMs,
        signal: this.#work.signal,
        onConnection: (holds) => {
          heldSinceMs = holds ? loopMs() : undefined;
          queue.holdsConnection(holds);
          this.#holdsConnection = holds;
          this.#plan.onNews();
        },
      });
      if (answer.start < this.arrived && !takesWhole) {
        answer.body.cancel();
        return null;
      }
      // Told last for the connection that the answer came over: neither our own queue nor a token was waited for since.
      floor.resume(heldSinceMs);
      await this.#read(answer, patience.stallMs, floor);
      return answer.answerer;
    } finally {
      queue.dispose();
    }
  }

  async #read(answer: BlobAnswer, stallMs: number, floor: DeliveryFloor): Promise<void> {
    const body = watchBody(answer.body, { stallMs, floor });
    // A registry that does not know ranges starts at byte 0: what we have already is passed over.
    let skip = this.arrived - answer.start;
    try {
      while (this.#end === null && this.arrived < this.#to) {
        if (this.#arrivals.waitingBytes > this.#plan.maxWaitingBytes) {
          this.#meter.pause();
          await this.#room();
          continue;
        }
        this.#meter.resume();
        const chunk = await body.read();
        if (chunk === null) return;
        const { context, blob } = this.#plan;
        context.sources.delivered(this.candidate, 'layers', blob.digest, chunk.length);
        context.observer.bytesArrived(this.candidate.registry, 'layers', blob.digest, chunk.length);
        context.transfer.hedgeBytes.earn(chunk.length);
        this.#ramp.arrived(chunk.length);
        this.#meter.arrived(chunk.length);
        const passed = Math.min(skip, chunk.length);
        skip -= passed;
        if (passed > 0) this.#tellWaste(passed);
        if (passed < chunk.length) this.#push(passed === 0 ? chunk : chunk.subarray(passed));
      }
    } finally {
      body.close();
    }
  }

  #push(chunk: Uint8Array): void {
    if (this.#end !== null) {
      this.#tellWaste(chunk.length);
      return;
    }
    if (this.#onDelivery !== null) {
      this.#arrivals.skip(Math.min(chunk.length, this.#to - this.arrived));
      this.#tellWaste(chunk.length);
      this.#onDelivery(chunk.length);
      return;
    }
    this.#arrivals.push(chunk, Math.min(chunk.length, this.#to - this.arrived));
    this.#plan.onNews();
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#onTaken = () => {
        this.#onTaken = null;
        resolve();
      };
    });
  }

  #tellWaste(bytes: number): void {
    this.#plan.context.sources.wasted(this.candidate, this.digest, bytes);
  }

  #finish(end: FlightEnd): void {
    if (this.#end !== null) return;
    this.#end = end;
    this.#holdsConnection = false;
    this.#stopFollowing();
    // Whatever its request still waits for.
    this.#work.abort(new FlightOverError());
    this.#onTaken?.();
    for (const over of [...this.#onOver.splice(0), ...this.#onLetGo.splice(0)]) over();
    this.#plan.onNews();
  }
}

/** What the request of a flight is ended with that is over. */
class FlightOverError extends Error {
  override readonly name = 'FlightOverError';
}
