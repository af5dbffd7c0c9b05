import { epochMs, monotonicMs } from '../clock/time.js';
import type { PullEvent } from '../events/pull-event.js';
import { deriveAbort, sleep } from '../policy/deadline.js';
import { namespace } from './images.js';
import { measure } from './measure.js';
import { compareWith2017, type NumberRow } from './numbers.js';
import { ProvisioningWorker, type ProvisioningRecord } from './provisioning-worker.js';
import { ordinaryOrder, recovery, script, type Act } from './script.js';
import { setStage, type Stage } from './stage.js';
import { compareTransfers, type Transfer } from './transfers.js';
import { findPartialBlobs, verifyImage, type VerifiedImage } from './verify-layout.js';

/** The stage is set. Once, before anything else. */
export interface DrillStarted {
  readonly type: 'drill:started';
  readonly atMs: number;
  /** What the names of 2017 stand for here, in the order in which registries are asked. */
  readonly standIns: readonly { readonly name: string; readonly prefix: string }[];
}

/** An act begins. */
export interface ActStarted {
  readonly type: 'drill:act-started';
  readonly atMs: number;
  readonly clock: string;
  readonly title: string;
}

/** What a drill tells while it runs: the puller's own events between those of the stage. */
export type DrillEvent = DrillStarted | ActStarted | PullEvent;

/** What a drill came to. */
export interface DrillOutcome {
  /** Whether every operation was provisioned, every byte is right, and nothing was left open. */
  readonly ok: boolean;
  /** Why not, one sentence each. */
  readonly problems: readonly string[];
  readonly numbers: readonly NumberRow[];
  readonly transfers: readonly Transfer[];
  readonly images: readonly VerifiedImage[];
  readonly operations: readonly ProvisioningRecord[];
  readonly durationMs: number;
}

/** How to drill. */
export interface DrillOptions {
  readonly onEvent: (event: DrillEvent) => void;
  /** Ends the drill, and clears the stage; its reason is rethrown. */
  readonly signal?: AbortSignal;
  /** Every registry serves wrong bytes: a drill that does not fail then proves nothing. */
  readonly sabotaged?: boolean;
}

/** Orders come in this far apart while the registry recovers. */
const ordinaryPauseMs = 300;

/** Of a registry that is well, circuits close within two cool-downs and a few pulls. */
const longestRecoveryMs = 20_000;

/** Sockets that the puller has ended are gone at the other end a moment later. */
const socketsGoneMs = 2_000;

/**
 * Replays the outage of 26 July 2017 on registries in this process, over real sockets, into layouts in a temporary
 * directory. Takes about half a minute, and leaves nothing behind.
 *
 * @throws the signal's own reason
 */
export async function runDrill(options: DrillOptions): Promise<DrillOutcome> {
  const { signal } = options;
  signal?.throwIfAborted();
  const startedAtMs = monotonicMs();
  const stage = await setStage(options.sabotaged ?? false);
  try {
    signal?.throwIfAborted();
    const drill = new Drill(stage, options);
    await drill.play();
    return await drill.judge(startedAtMs);
  } finally {
    await stage.close();
  }
}

class Drill {
  readonly #stage: Stage;
  readonly #signal: AbortSignal;
  readonly #tell: (event: DrillEvent) => void;
  readonly #sabotaged: boolean;
  readonly #events: PullEvent[] = [];
  readonly #worker: ProvisioningWorker;
  #healthyAgainAtMs: number | null = null;

  constructor(stage: Stage, { onEvent, signal, sabotaged }: DrillOptions) {
    this.#sabotaged = sabotaged ?? false;
    this.#stage = stage;
    this.#signal = signal ?? new AbortController().signal;
    this.#tell = onEvent;
    stage.puller.events.on('*', (event) => {
      // The bars' numbers are in the reports, too.
      if (event.type !== 'pull:progressed') this.#events.push(event);
      onEvent(event);
    });
    this.#worker = new ProvisioningWorker({
      puller: stage.puller,
      engineOf: (host) => stage.engineOf(host),
      signal: this.#signal,
    });
  }

  async play(): Promise<void> {
    const standIns = this.#stage.standIns.map(({ name, prefix }) => ({ name, prefix }));
    this.#tell({ type: 'drill:started', atMs: epochMs(), standIns });
    for (const act of script) {
      await this.#begin(act);
      for (const step of act.steps) await this.#provision(step);
      if (this.#hasFailed) return;
    }
    await this.#begin(recovery);
    this.#healthyAgainAtMs = epochMs();
    await this.#recover();
    if (!this.#hasFailed) await this.#worker.whenDone();
  }

  /** Ends the puller, looks at what it left, and says what the day came to. */
  async judge(startedAtMs: number): Promise<DrillOutcome> {
    this.#worker.close();
    const openCircuits = this.#stage.puller.health().filter(({ state }) => state !== 'closed');
    await this.#stage.endPuller();
    const records = this.#worker.records;
    const images = await this.#verify(records);
    const transfers = compareTransfers(
      this.#stage.standIns.map(({ prefix, double }) => ({ prefix, requests: double.requests })),
      this.#events,
    );
    const problems = [
      ...records.flatMap(({ order, state, failure }) =>
        state === 'provisioned' ? [] : [`${order.id} (${order.image} on ${order.host}) ${failure ?? `is ${state}`}`],
      ),
      ...images.flatMap((image) => image.problems),
      ...openCircuits.map(({ registry, phase, state }) => `the circuit ${registry} × ${phase} is ${state}`),
      ...transfers.flatMap(({ registry, sentBytes, arrivedBytes, agrees }) =>
        agrees ? [] : [`${registry} sent ${sentBytes} bytes by its log, and ${arrivedBytes} arrived by the events`],
      ),
      ...(await this.#leftOpen()),
    ];
    const numbers = compareWith2017({
      ...measure(this.#events),
      healMs: openCircuits.length === 0 ? this.#healMs() : null,
      imagesRight: images.filter((image) => image.problems.length === 0).length,
      imagesRead: images.length,
    });
    return {
      ok: problems.length === 0,
      problems,
      numbers,
      transfers,
      images,
      operations: records,
      durationMs: Math.round(monotonicMs() - startedAtMs),
    };
  }

  get #hasFailed(): boolean {
    return this.#worker.records.some(({ state }) => state === 'failed');
  }

  async #begin({ clock, title, faults }: Act): Promise<void> {
    this.#signal.throwIfAborted();
    this.#tell({ type: 'drill:act-started', atMs: epochMs(), clock, title });
    if (faults !== undefined && !this.#sabotaged) await this.#stage.quay.double.setFaults(faults);
  }

  async #provision(orders: Act['steps'][number]): Promise<void> {
    for (const order of orders) this.#worker.submit({ ...order, image: this.#stage.nameOf(order.image) });
    await this.#worker.whenSettled(orders.map(({ id }) => id));
    this.#signal.throwIfAborted();
  }

  /** Ordinary orders, one after the other, until every circuit is closed; then one more, which finds the day in order. */
  async #recover(): Promise<void> {
    const untilMs = monotonicMs() + longestRecoveryMs;
    for (let index = 0; !this.#hasFailed; index += 1) {
      const isOver = this.#isWell() || monotonicMs() >= untilMs;
      await this.#provision([ordinaryOrder(index)]);
      if (isOver) return;
      await sleep(ordinaryPauseMs, this.#signal);
    }
  }

  #isWell(): boolean {
    return this.#stage.puller.health().every(({ state }) => state === 'closed');
  }

  #healMs(): number | null {
    const closed = this.#events.findLast(({ type }) => type === 'circuit:closed');
    return closed === undefined || this.#healthyAgainAtMs === null ? null : closed.atMs - this.#healthyAgainAtMs;
  }

  async #verify(records: readonly ProvisioningRecord[]): Promise<readonly VerifiedImage[]> {
    const { images } = this.#stage;
    const held = { ...images.replicated, ...images.neverReplicated };
    const wanted = new Map(
      records.flatMap(({ order: { host, image }, report }) =>
        report === null ? [] : [[`${host} ${image}`, { host, name: report.image }]],
      ),
    );
    const verified: VerifiedImage[] = [];
    for (const { host, name } of wanted.values()) {
      const image = name.slice(this.#stage.nameOf('').length);
      const expected = held[`${namespace}/${image}`];
      if (expected === undefined) throw new Error(`${image} is not in the script`);
      const { directory } = this.#stage.engineOf(host);
      verified.push(await verifyImage(directory, { host, name, image, expected }));
    }
    return verified;
  }

  async #leftOpen(): Promise<readonly string[]> {
    const problems: string[] = [];
    for (const { name, double } of this.#stage.standIns) {
      using clock = deriveAbort();
      const untilMs = monotonicMs() + socketsGoneMs;
      while (double.openConnections > 0 && monotonicMs() < untilMs) await sleep(20, clock.signal);
      if (double.openConnections > 0) problems.push(`${double.openConnections} connections to ${name} were left open`);
      for (const { rule, detail } of double.violations) problems.push(`${name}: ${rule}: ${detail}`);
    }
    for (const engine of this.#stage.engines) {
      for (const path of await findPartialBlobs(engine.directory)) problems.push(`${path} was left behind`);
    }
    return problems;
  }
}
