import type { Measured } from './blob/flight-meter.js';

/** Before, a rate says more of a burst in a buffer than of the link. */
const measuredMs = 250;

/** What connections to one registry have shown in one pull. */
export class LinkSpeed {
  #bytes = 0;
  #waitedMs = 0;
  #longestPauseMs = 0;

  add({ bytes, waitedMs, longestPauseMs }: Measured): void {
    this.#bytes += bytes;
    this.#waitedMs += waitedMs;
    this.#longestPauseMs = Math.max(this.#longestPauseMs, longestPauseMs);
  }

  /** The longest silence of any connection, in milliseconds. */
  get longestPauseMs(): number {
    return this.#longestPauseMs;
  }

  /** What one connection brought on average; 0 while they have not been measured for long. */
  get bytesPerSecond(): number {
    return this.#waitedMs < measuredMs ? 0 : (this.#bytes * 1_000) / this.#waitedMs;
  }
}
