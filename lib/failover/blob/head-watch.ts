import { startLoopTimer, type LoopTimer } from '../../policy/loop-timer.js';
import type { HeartContext } from '../context.js';
import type { Flight } from './flight.js';

/** Of what a source has brought before, less than this share is late, though bytes come. */
const lateShare = 0.1;

/** So short is the patience with one that was late elsewhere in the same pull, in milliseconds. */
const suspectMs = 100;

/**
 * Watches over the flight whose bytes everybody waits for: late is one that brings nothing, or next to nothing, for as
 * long as the hedge gate says. Its clock runs only while its bytes are waited for and it holds a connection.
 */
export class HeadWatch {
  readonly #context: HeartContext;
  readonly #onLate: (flight: Flight, delayMs: number) => void;
  #flight: Flight | null = null;
  #timer: LoopTimer | null = null;
  #hadBytes = false;
  #wasSuspect = false;
  /** Up to where bytes had arrived when the timer was last restarted. */
  #mark = 0;
  #delayMs = Infinity;
  /** As many bytes make the timer begin anew. */
  #enough = 1;

  /** @param onLate told after how long, in milliseconds; called again after as long again, while it stays so */
  constructor(context: HeartContext, onLate: (flight: Flight, delayMs: number) => void) {
    this.#context = context;
    this.#onLate = onLate;
  }

  /** From here on this flight is waited for; null while nobody is. */
  waitFor(flight: Flight | null): void {
    if (flight === null || flight.end !== null || !flight.holdsConnection) {
      this.#timer?.pause();
      return;
    }
    const hasBytes = flight.arrived > flight.from;
    const isSuspect = this.#context.sources.isSuspect(flight.candidate, 'layers');
    if (flight !== this.#flight || hasBytes !== this.#hadBytes || isSuspect !== this.#wasSuspect) {
      this.#begin(flight, hasBytes, isSuspect);
    } else if (flight.arrived - this.#mark >= this.#enough) {
      this.#mark = flight.arrived;
      this.#enough = this.#enoughOf(flight);
      this.#timer?.restart();
    }
    this.#timer?.resume();
  }

  /** What follows is nobody's lateness: bytes are being handed over. */
  pause(): void {
    this.#timer?.pause();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#flight = null;
  }

  #begin(flight: Flight, hasBytes: boolean, isSuspect: boolean): void {
    this.#timer?.cancel();
    this.#flight = flight;
    this.#hadBytes = hasBytes;
    this.#wasSuspect = isSuspect;
    this.#mark = flight.arrived;
    const { sources, hedge } = this.#context;
    const { registry } = flight.candidate;
    const usualMs = hasBytes
      ? hedge.pauseMs(sources.speedOf(flight.candidate).longestPauseMs)
      : hedge.firstByteMs(registry);
    const delayMs = isSuspect ? Math.min(suspectMs, usualMs) : usualMs;
    this.#delayMs = delayMs;
    this.#enough = hasBytes ? this.#enoughOf(flight) : 1;
    if (delayMs === Infinity) {
      this.#timer = null;
      return;
    }
    this.#timer = startLoopTimer(delayMs, () => {
      this.#mark = flight.arrived;
      this.#timer?.restart();
      this.#onLate(flight, delayMs);
    });
  }

  /** What must come within the delay: less is next to nothing, but for what others draw from the registry meanwhile. */
  #enoughOf({ candidate }: Flight): number {
    const { sources, limits, transfer } = this.#context;
    const usual = sources.speedOf(candidate).bytesPerSecond * lateShare;
    const { inUse } = transfer.ramps.of(candidate.registry);
    const floor = Math.max(limits.layers.minBytesPerSecond, sources.floorBeside(candidate));
    const least = Math.max(usual, floor) / Math.max(1, inUse);
    return Math.max(1, (least * this.#delayMs) / 1_000);
  }
}
