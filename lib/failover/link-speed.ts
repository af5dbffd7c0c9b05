/** What a connection has shown of a registry since it was last told. */
export interface Measured {
  readonly bytes: number;
  /** Milliseconds in which these bytes were waited for. */
  readonly waitedMs: number;
  /** The longest time without a byte, in milliseconds. */
  readonly longestPauseMs: number;
}

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
