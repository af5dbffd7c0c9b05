import { explainFailure } from '../health/explain-failure.js';
import { abortable } from '../policy/deadline.js';
import type { PullEngine } from '../puller/pull-engine.js';
import type { Puller } from '../puller/puller.js';
import type { PullReport } from '../vocabulary/report.js';

/** Something a customer wants. */
export interface ProvisioningOrder {
  readonly id: string;
  readonly kind: 'database' | 'app' | 'build';
  readonly image: string;
  /** The host that it is to run on. */
  readonly host: string;
  /** `os/architecture`; default the puller's. */
  readonly platform?: string;
}

/** Where an operation is. `parked` is no failure: it goes on by itself. */
export type ProvisioningState = 'queued' | 'pulling' | 'parked' | 'provisioned' | 'failed';

/** An operation, and what became of it so far. */
export interface ProvisioningRecord {
  readonly order: ProvisioningOrder;
  readonly state: ProvisioningState;
  /** What the pull brought, once it is provisioned. */
  readonly report: PullReport | null;
  /** For whoever is on call, once it has failed. */
  readonly failure: string | null;
}

/** What the worker is made with. */
export interface ProvisioningWorkerOptions {
  readonly puller: Pick<Puller, 'pullWithFailover' | 'events'>;
  readonly engineOf: (host: string) => PullEngine;
  /** Starts what was pulled; the operation is provisioned once it resolves. Default: nothing is to be started. */
  readonly start?: (order: ProvisioningOrder, report: PullReport) => Promise<void>;
  /** Ends every operation. */
  readonly signal: AbortSignal;
  /** Pulls at a time on one host, parked ones apart; default 2. */
  readonly pullsPerHost?: number;
}

type Entry = { -readonly [Key in keyof ProvisioningRecord]: ProvisioningRecord[Key] };

/** Two images at a time keep a host's disk busy without starving either. */
const defaultPullsPerHost = 2;

/**
 * Provisions databases, apps and builds on several hosts, as an orchestrator would around this library: a queue per
 * host, one pull per operation, and the operation's state kept by the events of its pull. There is no code for a
 * registry's failure in it.
 */
export class ProvisioningWorker {
  readonly #options: ProvisioningWorkerOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<() => void>();
  readonly #unsubscribe: readonly (() => void)[];

  constructor(options: ProvisioningWorkerOptions) {
    this.#options = options;
    const { events } = options.puller;
    this.#unsubscribe = [
      events.on('pull:parked', ({ operation }) => this.#move(operation?.id, 'parked')),
      events.on('pull:resumed', ({ operation }) => this.#move(operation?.id, 'pulling')),
    ];
  }

  get records(): readonly ProvisioningRecord[] {
    return [...this.#entries.values()];
  }

  /** Queues an operation. Its id is its own: it is what events call it. */
  submit(order: ProvisioningOrder): void {
    if (this.#entries.has(order.id)) throw new TypeError(`${order.id} was submitted before`);
    this.#entries.set(order.id, { order, state: 'queued', report: null, failure: null });
    this.#startNext(order.host);
  }

  /** Resolves as soon as none of these operations is queued or pulling: they have ended, or are parked. */
  async whenSettled(ids: readonly string[]): Promise<void> {
    await this.#until(() => !this.#isAny(['queued', 'pulling'], ids));
  }

  /** Resolves as soon as every operation has ended. */
  async whenDone(): Promise<void> {
    await this.#until(() => !this.#isAny(['queued', 'pulling', 'parked'], [...this.#entries.keys()]));
  }

  /** Stops listening to events. Operations that are under way go on. */
  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }

  #startNext(host: string): void {
    const ofHost = [...this.#entries.values()].filter(({ order }) => order.host === host);
    const free =
      (this.#options.pullsPerHost ?? defaultPullsPerHost) - ofHost.filter(({ state }) => state === 'pulling').length;
    const next = ofHost.filter(({ state }) => state === 'queued').slice(0, Math.max(0, free));
    for (const entry of next) void this.#provision(entry);
  }

  async #provision(entry: Entry): Promise<void> {
    const { id, kind, image, host, platform } = entry.order;
    this.#move(id, 'pulling');
    try {
      const report = await this.#options.puller.pullWithFailover(image, {
        operation: { kind, id },
        engine: this.#options.engineOf(host),
        signal: this.#options.signal,
        ...(platform === undefined ? {} : { platform }),
      });
      await this.#options.start?.(entry.order, report);
      entry.report = report;
      this.#move(id, 'provisioned');
    } catch (error) {
      entry.failure = explainFailure(error);
      this.#move(id, 'failed');
    }
  }

  #move(id: string | undefined, state: ProvisioningState): void {
    const entry = id === undefined ? undefined : this.#entries.get(id);
    if (entry === undefined) return;
    entry.state = state;
    for (const listener of [...this.#listeners]) listener();
    // A parked pull holds no connection and writes nothing: its host has room for another one.
    this.#startNext(entry.order.host);
  }

  #isAny(states: readonly ProvisioningState[], ids: readonly string[]): boolean {
    return ids.some((id) => {
      const state = this.#entries.get(id)?.state;
      return state !== undefined && states.includes(state);
    });
  }

  async #until(holds: () => boolean): Promise<void> {
    const { signal } = this.#options;
    signal.throwIfAborted();
    if (holds()) return;
    let listener: (() => void) | undefined;
    const reached = new Promise<void>((resolve) => {
      listener = () => {
        if (holds()) resolve();
      };
      this.#listeners.add(listener);
    });
    try {
      await abortable(reached, signal);
    } finally {
      if (listener !== undefined) this.#listeners.delete(listener);
    }
  }
}
