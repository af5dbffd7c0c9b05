import type { KeyedMutex } from './keyed-mutex.js';

/** A name that an engine may give an image some time after its pull was ended. */
export interface LateName {
  /** Who pulls under the name meanwhile has its key, and takes it away himself. */
  readonly names: KeyedMutex;
  readonly key: string;
  /** When it is looked for again, in milliseconds from now. What comes later still is left to the next process. */
  readonly afterMs: readonly number[];
  readonly takeAway: () => Promise<void>;
}

/** Looks for a name again and again. Nobody waits for this, and no process stays for it. */
export function takeLateNameAway({ names, key, afterMs, takeAway }: LateName): void {
  for (const ms of afterMs) {
    const timer = setTimeout(() => {
      const release = names.tryAcquire(key);
      if (release !== null) void takeAway().finally(release);
    }, ms);
    timer.unref();
  }
}
