import { permitFor, type Permit } from './permit.js';
import type { Taker, TransferShares } from './transfer-shares.js';

/**
 * Memory for bytes ahead of their turn. A kind has a right to its part of the whole, a pull to its part of that. Whoever
 * is above its own part takes at most half of what is free, so that what a newcomer has a right to is there when it
 * comes, and nothing has to be taken back.
 */
export class WindowMemory {
  readonly #mostBytes: number;
  readonly #shares: TransferShares;
  #heldBytes = 0;

  constructor(mostBytes: number, shares: TransferShares) {
    this.#mostBytes = mostBytes;
    this.#shares = shares;
  }

  tryTake(taker: Taker, bytes: number): Permit | null {
    const pull = this.#shares.of(taker);
    const kindPart = this.#mostBytes / this.#shares.kindsWith(pull.kind);
    const pullPart = kindPart / this.#shares.pullsWith(pull);
    // A first stretch is within every part: with many pulls a part is smaller than one stretch.
    const isWithin =
      (pull.aheadBytes === 0 || pull.aheadBytes + bytes <= pullPart) &&
      (pull.kind.aheadBytes === 0 || pull.kind.aheadBytes + bytes <= kindPart);
    const freeBytes = this.#mostBytes - this.#heldBytes;
    if (bytes > (isWithin ? freeBytes : freeBytes / 2)) return null;
    this.#heldBytes += bytes;
    this.#shares.add(pull, 'aheadBytes', bytes);
    return permitFor(() => {
      this.#heldBytes -= bytes;
      this.#shares.add(pull, 'aheadBytes', -bytes);
    });
  }
}
