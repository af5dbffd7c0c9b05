/** A parked pull that wants to try again. */
export interface ResumeTurn {
  /** The smaller comes first. */
  readonly order: number;
  /** Does not wait for others, and counts all the same. */
  readonly atOnce: boolean;
  /** Called once, when it may; `ended` is to be called when the try has ended. */
  readonly begin: (ended: () => void) => void;
}

/** Lets so many parked pulls try again at the same time, the oldest first. */
export class ResumeTurns {
  readonly #most: number;
  readonly #waiting = new Set<ResumeTurn>();
  #trying = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Returns what gives the turn up, whether it has come or not: whoever began calls `ended` instead. */
  take(turn: ResumeTurn): () => void {
    if (turn.atOnce) this.#begin(turn);
    else {
      this.#waiting.add(turn);
      this.#next();
    }
    return () => this.#waiting.delete(turn);
  }

  #next(): void {
    while (this.#trying < this.#most) {
      const [oldest] = [...this.#waiting].toSorted((a, b) => a.order - b.order);
      if (oldest === undefined) return;
      this.#begin(oldest);
    }
  }

  #begin(turn: ResumeTurn): void {
    this.#waiting.delete(turn);
    this.#trying += 1;
    let hasEnded = false;
    turn.begin(() => {
      if (hasEnded) return;
      hasEnded = true;
      this.#trying -= 1;
      this.#next();
    });
  }
}
