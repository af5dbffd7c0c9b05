/** Bytes of a stretch of a blob that have arrived and wait to be taken, in order. */
export class Arrivals {
  /** Up to where bytes have arrived, and up to where they were taken or thrown away. */
  #arrived: number;
  #taken: number;
  readonly #chunks: Uint8Array[] = [];
  readonly #onWaste: (bytes: number) => void;

  /** @param onWaste told of bytes that arrived and are thrown away */
  constructor(from: number, onWaste: (bytes: number) => void) {
    this.#arrived = from;
    this.#taken = from;
    this.#onWaste = onWaste;
  }

  /** Up to where bytes have arrived. */
  get arrived(): number {
    return this.#arrived;
  }

  /** Up to where they were taken or thrown away. */
  get taken(): number {
    return this.#taken;
  }

  get waitingBytes(): number {
    return this.#arrived - this.#taken;
  }

  /** The next bytes, as far as they are wanted. */
  push(chunk: Uint8Array, wanted: number): void {
    if (wanted < chunk.length) this.#onWaste(chunk.length - wanted);
    if (wanted > 0) this.#chunks.push(wanted === chunk.length ? chunk : chunk.subarray(0, wanted));
    this.#arrived += wanted;
  }

  /** Passes over bytes that nobody will take. */
  skip(bytes: number): void {
    this.#arrived += bytes;
    this.#taken = this.#arrived;
  }

  /** The next bytes from `offset` on; null when there are none yet. What comes before `offset` is thrown away. */
  take(offset: number): Uint8Array | null {
    while (this.#taken < offset) {
      const first = this.#chunks[0];
      if (first === undefined) return null;
      const early = Math.min(first.length, offset - this.#taken);
      this.#taken += early;
      this.#onWaste(early);
      if (early < first.length) this.#chunks[0] = first.subarray(early);
      else this.#chunks.shift();
    }
    const chunk = this.#chunks.shift() ?? null;
    if (chunk !== null) this.#taken += chunk.length;
    return chunk;
  }

  /** Throws away what has arrived beyond. */
  shorten(to: number): void {
    while (this.#arrived > to) {
      const last = this.#chunks.pop();
      if (last === undefined) return;
      const kept = Math.max(0, last.length - (this.#arrived - to));
      if (kept > 0) this.#chunks.push(last.subarray(0, kept));
      this.#arrived -= last.length - kept;
      this.#onWaste(last.length - kept);
    }
  }

  /** Throws away everything that was not taken. */
  discard(): void {
    for (const chunk of this.#chunks.splice(0)) this.#onWaste(chunk.length);
    this.#taken = this.#arrived;
  }
}
