import { epochMs, monotonicMs } from '../clock/time.js';
import { sleep } from '../policy/deadline.js';
import type { DatabaseHost } from './database-host.js';
import type { DrillEvent } from './drill-event.js';
import { namespace } from './images.js';
import type { ProvisioningOrder, ProvisioningWorker } from './provisioning-worker.js';
import { type Act, databaseOrder, ordinaryOrder, recovery, scriptWith } from './script.js';
import { serverPlatform } from './server-image.js';
import type { Stage } from './stage.js';

/** What a play needs. */
export interface PlayOptions {
  readonly stage: Stage;
  readonly worker: ProvisioningWorker;
  readonly onEvent: (event: DrillEvent) => void;
  readonly signal: AbortSignal;
}

/** What a play leaves to be judged. */
export interface Play {
  /** When the first registry was well again, in milliseconds since the epoch; null when the play ended before. */
  readonly wellAgainAtMs: number | null;
}

/** Orders come in this far apart while the registry recovers. */
const ordinaryPauseMs = 300;

/** Of a registry that is well, circuits close within two cool-downs and a few pulls. */
const longestRecoveryMs = 20_000;

/**
 * Plays the script: brings the registry into the state of each act, and orders what was ordered then. Ends early when
 * an operation has failed: what comes after that proves nothing any more.
 *
 * @throws the signal's own reason
 */
export async function play({ stage, worker, onEvent, signal }: PlayOptions): Promise<Play> {
  const hasFailed = (): boolean => worker.records.some(({ state }) => state === 'failed');

  async function begin({ clock, title, faults }: Act): Promise<void> {
    signal.throwIfAborted();
    onEvent({ type: 'drill:act-started', atMs: epochMs(), clock, title });
    if (faults !== undefined) await stage.failFirst(faults);
  }

  async function provision(orders: readonly ProvisioningOrder[]): Promise<void> {
    for (const order of orders) worker.submit({ ...order, image: stage.nameOf(order.image) });
    await worker.whenSettled(orders.map(({ id }) => id));
    signal.throwIfAborted();
  }

  /** Ordinary orders, one after the other, until every circuit is closed; then one more, which finds the day in order. */
  async function recover(): Promise<void> {
    const untilMs = monotonicMs() + longestRecoveryMs;
    for (let index = 0; !hasFailed(); index += 1) {
      const isWell = stage.puller.health().every(({ state }) => state === 'closed');
      await provision([ordinaryOrder(index)]);
      if (isWell || monotonicMs() >= untilMs) return;
      await sleep(ordinaryPauseMs, signal);
    }
  }

  onEvent({
    type: 'drill:started',
    atMs: epochMs(),
    standIns: stage.standIns.map(({ name, prefix }) => ({ name, prefix })),
  });
  const { databaseHost } = stage;
  if ('missing' in databaseHost) onEvent({ type: 'drill:engine-missing', atMs: epochMs(), why: databaseHost.missing });
  else onEvent({ type: 'drill:engine-found', atMs: epochMs(), ...describe(databaseHost) });
  for (const act of scriptWith('missing' in databaseHost ? null : orderFor(databaseHost))) {
    await begin(act);
    for (const step of act.steps) await provision(step);
    if (hasFailed()) return { wellAgainAtMs: null };
  }
  await begin(recovery);
  const wellAgainAtMs = epochMs();
  await recover();
  if (!hasFailed()) await worker.whenDone();
  return { wellAgainAtMs };
}

function orderFor({ imageName, name }: DatabaseHost): ProvisioningOrder {
  return { ...databaseOrder(imageName.slice(`${namespace}/`.length), name), platform: serverPlatform };
}

function describe({ description, server }: DatabaseHost) {
  return { engine: description, server: server.name, remark: server.remark };
}
