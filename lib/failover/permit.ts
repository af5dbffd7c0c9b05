/** The right to something, until it is given back. */
export interface Permit {
  /** Gives it back; to give it back again does nothing. */
  release(): void;
}

/** @param giveBack called once, with the first release */
export function permitFor(giveBack: () => void): Permit {
  let isHeld = true;
  return {
    release: () => {
      if (!isHeld) return;
      isHeld = false;
      giveBack();
    },
  };
}
