/** Where time is read from; only specs replace it. */
export interface TimeSource {
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicMs: () => number;
  /** Milliseconds since the epoch. */
  readonly epochMs: () => number;
  /** Time passes only when somebody moves it, so a gap in it says nothing about the event loop. */
  readonly movedByHand?: boolean;
}

const systemTime: TimeSource = {
  monotonicMs: () => performance.now(),
  epochMs: () => Date.now(),
};

let source: TimeSource = systemTime;

/** Milliseconds of a clock that never goes back: for limits, cool-downs and expiry. */
export function monotonicMs(): number {
  return source.monotonicMs();
}

/** Milliseconds since the epoch: for payloads, and for what is compared after a restart. */
export function epochMs(): number {
  return source.epochMs();
}

/** A time of the clock that never goes back, as people read it: rounded milliseconds since the epoch. */
export function toEpochMs(atMonotonicMs: number): number {
  return Math.round(epochMs() + (atMonotonicMs - monotonicMs()));
}

/** Whether time passes only when somebody moves it. */
export function isTimeMovedByHand(): boolean {
  return source.movedByHand === true;
}

/** Reads time from somewhere else, for fake timers in specs. Returns what puts the system's clock back. */
export function replaceTimeSource(replacement: TimeSource): () => void {
  source = replacement;
  return () => {
    source = systemTime;
  };
}
