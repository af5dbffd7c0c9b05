/** A list that keeps its beginning and its end when it grows too long: both tell more than the middle. */
export class KeptEnds<T> {
  readonly #first: T[] = [];
  readonly #last: T[] = [];
  readonly #max: number;
  #leftOut: number;

  constructor(max: number, before: readonly T[] = [], leftOut: number = 0) {
    this.#max = max;
    this.#leftOut = leftOut;
    for (const each of before) this.push(each);
  }

  push(item: T): void {
    const half = Math.ceil(this.#max / 2);
    if (this.#first.length < half) {
      this.#first.push(item);
      return;
    }
    this.#last.push(item);
    if (this.#last.length <= this.#max - half) return;
    this.#last.shift();
    this.#leftOut += 1;
  }

  /** In the order in which they came. */
  items(): readonly T[] {
    return [...this.#first, ...this.#last];
  }

  get leftOut(): number {
    return this.#leftOut;
  }
}
