/** What a pull may spend before it has earned anything: some ranges, so that its first outage costs no wait. */
const initialBytes: number = 16 * 1024 * 1024;

/** Fewer are not worth a request. */
const fewBytes: number = 64 * 1024;

/** The bytes that hedges of one pull may fetch twice: a share of all that arrive, and some to begin with. */
export class HedgeBytes {
  readonly #share: number;
  #left: number;

  /** @param share of all bytes that arrive, 0 to 1; 0 is no hedge at all */
  constructor(share: number) {
    this.#share = share;
    this.#left = share === 0 ? 0 : initialBytes;
  }

  earn(bytes: number): void {
    this.#left = Math.min(initialBytes, this.#left + bytes * this.#share);
  }

  /** Takes at most so many out of the budget; 0 where too little is left. */
  take(bytes: number): number {
    const taken = Math.min(bytes, Math.floor(this.#left));
    if (taken < Math.min(bytes, fewBytes)) return 0;
    this.#left -= taken;
    return taken;
  }

  /** They were not fetched twice after all. */
  giveBack(bytes: number): void {
    this.#left = Math.min(initialBytes, this.#left + bytes);
  }
}
