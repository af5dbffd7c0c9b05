import { monotonicMs } from '../clock/time.js';
import type { Phase } from '../vocabulary/phase.js';
import type { PullTimings } from '../vocabulary/report.js';

/** Times the phases of one pull; a phase that comes again adds up. */
export class Stopwatch {
  readonly #startedAtMs = monotonicMs();
  readonly #spentMs = new Map<Phase, number>();

  /** Starts a phase; the returned function ends it and says how long it took, in milliseconds. */
  start(phase: Phase): () => number {
    const startedAtMs = monotonicMs();
    return () => {
      const durationMs = monotonicMs() - startedAtMs;
      this.#spentMs.set(phase, (this.#spentMs.get(phase) ?? 0) + durationMs);
      return Math.round(durationMs);
    };
  }

  timings(): PullTimings {
    const spent = (phase: Phase): number => Math.round(this.#spentMs.get(phase) ?? 0);
    return {
      metadataMs: spent('metadata'),
      layersMs: spent('layers'),
      extractMs: spent('extract'),
      totalMs: Math.round(monotonicMs() - this.#startedAtMs),
    };
  }
}
