import { performance, type EventLoopUtilization } from 'node:perf_hooks';
import { loopMs } from '../../policy/loop-timer.js';

/** Long enough for a rate that is not one burst, short enough to be through with it in a large layer. */
const measureMs = 200;

/** What new connections take to bring their first bytes, on a long link and with TLS. */
const settleMs = 200;

/** How many times as many connections are tried; more on a long link, where there is more to win and a try takes longer. */
const usualFactor = 2;
const farFactor = 4;

/** Twice the connections have to bring so much more, or they are of no use: less is what a link sways by. */
const worthwhileRise = 1.2;

/** Half the connections may bring so little less, and are as good. */
const tolerableDrop = 0.95;

/** A try that was of no use costs a request or two; the next one comes after so long, and ever later. */
const firstBackoffMs = 2_000;
const maxBackoffMs = 60_000;

/** How long a number that has proven itself holds before it is tried whether half of it would do. */
const keptMs = 15_000;

/** What was learnt of a link is of no use any more. */
const forgetMs = 30_000;

/** Below it the rest of a blob is there before more connections could help. */
const shortestRestMs = 600;

/** Bytes must be waited for in at least this share of the time, or it is the reader that is slow. */
const waitingShare = 0.5;

/** A loop that is busier than this is what limits the rate. */
const busyLoop = 0.8;

/** A try of another number of connections. */
interface Trial {
  readonly before: { readonly connections: number; readonly bytesPerSecond: number };
  readonly settledAtMs: number;
}

/**
 * Finds out how many connections a blob should be fetched over from one registry: twice as many while that makes all
 * blobs together faster, fewer when it does not. It needs no timer: arriving bytes drive it.
 */
export class ConnectionRamp {
  readonly #most: number;
  readonly #isFar: () => boolean;
  readonly #blobs = new Set<() => number>();
  #connections = 1;
  #inUse = 0;
  /** As many over all blobs fill the link: fewer blobs may have more each. */
  #enough = 0;
  #trial: Trial | null = null;
  #nextTrialAtMs = 0;
  #backoffMs = firstBackoffMs;
  #lastByteAtMs = -Infinity;
  #sinceMs = 0;
  #bytes = 0;
  #waitedMs = 0;
  #loop: EventLoopUtilization = performance.eventLoopUtilization();

  /**
   * @param most connections per blob
   * @param isFar whether answers of the registry take long: what one connection brings is little there, and each try too
   */
  constructor(most: number, isFar: () => boolean = () => false) {
    this.#most = most;
    this.#isFar = isFar;
  }

  /** For each blob. */
  get connections(): number {
    const share = Math.ceil(this.#enough / Math.max(1, this.#blobs.size));
    return Math.min(this.#most, Math.max(this.#connections, share));
  }

  /** How many connections to the registry bring blobs now, for whichever pull and however small they are. */
  get inUse(): number {
    return this.#inUse;
  }

  /** One more is in use, until what this returns is called. */
  connected(): () => void {
    this.#inUse += 1;
    return () => {
      this.#inUse -= 1;
    };
  }

  /** A blob that is large enough to be split is being fetched from here, until what this returns is called. */
  join(remainingBytes: () => number): () => void {
    this.#blobs.add(remainingBytes);
    this.#breakOff();
    return () => {
      if (this.#blobs.delete(remainingBytes)) this.#breakOff();
    };
  }

  /** So long bytes were waited for, and nothing else was done for the blob. */
  waited(ms: number): void {
    this.#waitedMs += ms;
  }

  arrived(bytes: number): void {
    if (this.#most === 1) return;
    const nowMs = loopMs();
    if (nowMs - this.#lastByteAtMs > forgetMs) this.#forget(nowMs);
    this.#lastByteAtMs = nowMs;
    this.#bytes += bytes;
    if (this.#trial !== null && this.#sinceMs < this.#trial.settledAtMs && nowMs >= this.#trial.settledAtMs) {
      this.#measureAnew(nowMs);
    } else if (nowMs - this.#sinceMs >= measureMs && nowMs >= (this.#trial?.settledAtMs ?? 0)) {
      this.#judge(nowMs);
    }
  }

  #judge(nowMs: number): void {
    const bytesPerSecond = (this.#bytes * 1_000) / (nowMs - this.#sinceMs);
    const isWaiting = this.#waitedMs >= waitingShare * (nowMs - this.#sinceMs) * this.#blobs.size;
    const isBusy = performance.eventLoopUtilization(this.#loop).utilization > busyLoop;
    this.#measureAnew(nowMs);
    const trial = this.#trial;
    if (trial === null) {
      if (isWaiting && !isBusy && nowMs >= this.#nextTrialAtMs) this.#tryAnother(nowMs, bytesPerSecond);
      return;
    }
    this.#trial = null;
    const { before } = trial;
    if (this.#connections < before.connections) {
      if (bytesPerSecond < before.bytesPerSecond * tolerableDrop) this.#connections = before.connections;
      this.#nextTrialAtMs = nowMs + keptMs;
    } else if (bytesPerSecond >= before.bytesPerSecond * worthwhileRise) {
      this.#backoffMs = firstBackoffMs;
      this.#nextTrialAtMs = nowMs + (this.#connections >= this.#most ? keptMs : 0);
      if (isWaiting && !isBusy && this.#connections < this.#most) this.#tryAnother(nowMs, bytesPerSecond);
    } else {
      this.#connections = before.connections;
      this.#enough = before.connections * this.#blobs.size;
      this.#nextTrialAtMs = nowMs + this.#backoffMs;
      this.#backoffMs = Math.min(this.#backoffMs * 2, maxBackoffMs);
    }
  }

  #tryAnother(nowMs: number, bytesPerSecond: number): void {
    const rest = Math.max(0, ...[...this.#blobs].map((remaining) => remaining()));
    if ((rest * this.#blobs.size * 1_000) / Math.max(1, bytesPerSecond) < shortestRestMs) return;
    const { connections } = this;
    const more = connections * (this.#isFar() ? farFactor : usualFactor);
    this.#trial = { before: { connections, bytesPerSecond }, settledAtMs: nowMs + settleMs };
    this.#enough = 0;
    this.#connections = connections >= this.#most ? Math.floor(connections / 2) : Math.min(this.#most, more);
  }

  /** Other blobs than before have another rate for another reason. */
  #breakOff(): void {
    this.#connections = this.#trial?.before.connections ?? this.#connections;
    this.#trial = null;
    this.#measureAnew(loopMs());
  }

  #measureAnew(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#bytes = 0;
    this.#waitedMs = 0;
    this.#loop = performance.eventLoopUtilization();
  }

  #forget(nowMs: number): void {
    this.#connections = 1;
    this.#enough = 0;
    this.#trial = null;
    this.#nextTrialAtMs = 0;
    this.#backoffMs = firstBackoffMs;
    this.#measureAnew(nowMs);
  }
}
