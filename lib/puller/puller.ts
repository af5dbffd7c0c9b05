import type { PullEvents } from '../events/event-bus.js';
import type { CircuitHealth } from '../health/circuit.js';
import type { OperatorControl } from '../health/control/operator-control.js';
import type { Incident } from '../incidents/incident.js';
import type { PullReport } from '../vocabulary/report.js';
import type { PullOptions } from './options.js';
import type { ParkedPulls } from './park.js';
import type { ExplainOptions, Explanation } from './explain.js';

/** The record of incidents. */
export interface Incidents {
  /** The one that is open, or null. */
  current(): Incident | null;
  /** Past ones, the newest first; those of a `stateDir` of before once a pull was made, or `load()` was waited for. */
  list(): readonly Incident[];
  /** Reads what is in `stateDir`. Never rejects. */
  load(): Promise<void>;
}

/** How to close a puller. */
export interface CloseOptions {
  /** How long running pulls may still take, in milliseconds; default 0. */
  readonly graceMs?: number;
}

/** Brings images into engines, whatever the registries do. One puller serves many engines; end it with `close()`. */
export interface Puller extends AsyncDisposable {
  /** What happens, while it happens. */
  readonly events: PullEvents;
  /** The operator's hand: what it does holds at once, for pulls under way too. */
  readonly control: OperatorControl;
  /** What happened from the first circuit that opened until all were closed again. */
  readonly incidents: Incidents;
  /** The pulls that wait for a registry to be well again. */
  readonly parked: ParkedPulls;
  /**
   * Brings an image into the engine, from the first registry that serves it, going on with the next one from the byte
   * that was reached.
   *
   * @param image in Docker's reference grammar: `redis`, `quay.io/team/app:1.2`, `…@sha256:…`
   * @throws the reason of `options.signal` as it is; else a `PullFailoverError`: `InvalidReferenceError`,
   *   `InvalidOptionError`, `ImageRefusedError`, `UnsupportedImageError`, `PullExhaustedError`, `PullDeadlineError`,
   *   `ReplicaDivergedError`, `ImageNotCachedError`, `HostFaultError`, `EngineError`, `ParkCancelledError`, `PullerClosedError`
   */
  pullWithFailover(image: string, options?: PullOptions): Promise<PullReport>;
  /** The plan a pull of this image would have now, and why; asks nobody. */
  explain(image: string, options?: ExplainOptions): Promise<Explanation>;
  /** Every registry × phase: its state, since when, why, until when. */
  health(): readonly CircuitHealth[];
  /**
   * Refuses new pulls, gives parked ones back, lets running ones finish within `graceMs`, then ends them: both reject
   * with a retryable `PullerClosedError`. Ends every socket and timer. Idempotent.
   */
  close(options?: CloseOptions): Promise<void>;
}
