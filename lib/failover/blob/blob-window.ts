import type { Flight } from './flight.js';

/** A stretch of a blob, in bytes. */
export interface Stretch {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

/** The bytes that come next. */
export interface Taken {
  readonly chunk: Uint8Array;
  readonly from: Flight;
}

/** Puts what several flights bring of one blob into its order. Of two that bring the same, the one added first is taken. */
export class BlobWindow {
  #flights: Flight[] = [];
  #hasNews = false;
  #wake: (() => void) | null = null;

  /** To be told by each flight, whenever something has changed. */
  readonly tell = (): void => {
    this.#hasNews = true;
    this.#wake?.();
  };

  add(flight: Flight): void {
    this.#flights.push(flight);
  }

  /** It brings nothing more to be taken. */
  remove(flight: Flight): void {
    this.#flights = this.#flights.filter((other) => other !== flight);
  }

  /** Those under way. */
  get open(): readonly Flight[] {
    return this.#flights.filter(({ end }) => end === null);
  }

  /** Bytes that were asked for, and have not been taken. */
  get claimedBytes(): number {
    return this.#flights.reduce((sum, { claimedBytes }) => sum + claimedBytes, 0);
  }

  /** Takes the bytes at `offset`; null when they are not here yet. */
  take(offset: number): Taken | null {
    const from = this.#flights.find((flight) => flight.has(offset));
    const chunk = from?.take(offset) ?? null;
    if (from === undefined || chunk === null) return null;
    if (!from.covers(offset + chunk.length)) this.#forgetBefore(offset + chunk.length);
    return { chunk, from };
  }

  /** Who brings the byte at `offset`, or has it; null when nobody was asked for it. */
  covering(offset: number): Flight | null {
    return this.#flights.find((flight) => flight.covers(offset)) ?? null;
  }

  /** Where the first stretch after `offset` begins that somebody was asked for. */
  nextStart(offset: number): number | null {
    const starts = this.#flights.filter((flight) => flight.from > offset && flight.covers(flight.from));
    return starts.length === 0 ? null : Math.min(...starts.map(({ from }) => from));
  }

  /** The first stretch within these bounds that nobody was asked for. */
  gap(from: number, to: number): Stretch | null {
    let at = from;
    for (let flight = this.covering(at); flight !== null; flight = this.covering(at)) at = flight.to;
    if (at >= to) return null;
    return { from: at, to: Math.min(to, this.nextStart(at) ?? to) };
  }

  /** Resolves when something has changed since it was last asked. */
  async news(): Promise<void> {
    if (!this.#hasNews) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
    this.#hasNews = false;
  }

  /** Ends all that is under way, and forgets what has come. */
  clear(): void {
    for (const flight of this.#flights.splice(0)) flight.cancel();
  }

  #forgetBefore(offset: number): void {
    const isOver = (flight: Flight): boolean => flight.end !== null && flight.arrived <= offset;
    // What is left of one was brought by another as well.
    for (const flight of this.#flights.filter(isOver)) flight.cancel();
    this.#flights = this.#flights.filter((flight) => !isOver(flight));
  }
}
