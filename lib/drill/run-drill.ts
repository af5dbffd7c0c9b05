import { monotonicMs } from '../clock/time.js';
import type { PullEvent } from '../events/pull-event.js';
import type { DrillEvent } from './drill-event.js';
import { judge, type DrillOutcome } from './judge.js';
import { play } from './play.js';
import { ProvisioningWorker } from './provisioning-worker.js';
import { setStage } from './stage.js';

/** How to drill. */
export interface DrillOptions {
  readonly onEvent: (event: DrillEvent) => void;
  /** Ends the drill, and clears the stage; its reason is rethrown. */
  readonly signal?: AbortSignal;
  /** Every registry serves wrong bytes: a drill that does not fail then proves nothing. Default: false. */
  readonly sabotaged?: boolean;
}

/**
 * Replays the outage of 26 July 2017 on registries in this process, over real sockets, into layouts in a temporary
 * directory. Takes about half a minute, and leaves nothing behind.
 *
 * @throws the signal's own reason
 */
export async function runDrill({ onEvent, signal: given, sabotaged }: DrillOptions): Promise<DrillOutcome> {
  const signal = given ?? new AbortController().signal;
  signal.throwIfAborted();
  const startedAtMs = monotonicMs();
  const stage = await setStage(sabotaged ?? false);
  try {
    const events: PullEvent[] = [];
    stage.puller.events.on('*', (event) => {
      // Of no use at the end: reports have the sums.
      if (event.type !== 'pull:progressed') events.push(event);
      onEvent(event);
    });
    const worker = new ProvisioningWorker({ puller: stage.puller, engineOf: (host) => stage.engineOf(host), signal });
    const played = await play({ stage, worker, onEvent, signal });
    worker.close();
    return await judge({ stage, play: played, records: worker.records, events, startedAtMs, signal });
  } finally {
    await stage.close();
  }
}
