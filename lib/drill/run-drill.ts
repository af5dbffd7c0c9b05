import type Dockerode from 'dockerode';
import { epochMs, monotonicMs } from '../clock/time.js';
import type { PullEvent } from '../events/pull-event.js';
import { findDatabaseHost } from './database-host.js';
import type { AnsweredDatabase, DrillEvent } from './drill-event.js';
import { judge, type DrillOutcome } from './judge.js';
import { play } from './play.js';
import { type ProvisioningOrder, ProvisioningWorker } from './provisioning-worker.js';
import { setStage } from './stage.js';
import type { PullReport } from '../vocabulary/report.js';

/** How to drill. */
export interface DrillOptions {
  readonly onEvent: (event: DrillEvent) => void;
  /** Ends the drill, and clears the stage; its reason is rethrown. */
  readonly signal?: AbortSignal;
  /**
   * An engine in which one database is started and asked as well, and from which all of it is removed; or why there is
   * none. Default: it was given none.
   */
  readonly docker?: Dockerode | { readonly missing: string };
  /** Every registry serves wrong bytes: a drill that does not fail then proves nothing. Default: false. */
  readonly sabotaged?: boolean;
}

/**
 * Replays the outage of 26 July 2017 on registries in this process, over real sockets, into layouts in a temporary
 * directory, and into an engine where one is given. Takes about half a minute, and leaves nothing behind.
 *
 * @throws the signal's own reason
 */
export async function runDrill(options: DrillOptions): Promise<DrillOutcome> {
  const { onEvent, sabotaged = false, docker = { missing: 'the drill was given no engine' } } = options;
  const signal = options.signal ?? new AbortController().signal;
  signal.throwIfAborted();
  const startedAtMs = monotonicMs();
  const databaseHost = 'missing' in docker ? docker : await findDatabaseHost(docker, signal);
  const stage = await setStage({ sabotaged, databaseHost });
  try {
    const events: PullEvent[] = [];
    const databases: AnsweredDatabase[] = [];
    stage.puller.events.on('*', (event) => {
      // Of no use at the end: reports have the sums.
      if (event.type !== 'pull:progressed') events.push(event);
      onEvent(event);
    });
    const start = async ({ id, host }: ProvisioningOrder, { reference }: PullReport): Promise<void> => {
      if ('missing' in databaseHost || host !== databaseHost.name) return;
      const beganAtMs = monotonicMs();
      const answer = await databaseHost.ask(reference, signal);
      const elapsedMs = Math.round(monotonicMs() - beganAtMs);
      const database = { operation: id, server: databaseHost.server.name, answer, elapsedMs };
      databases.push(database);
      onEvent({ type: 'drill:database-answered', atMs: epochMs(), ...database });
    };
    const worker = new ProvisioningWorker({
      puller: stage.puller,
      engineOf: (host) => stage.engineOf(host),
      start,
      signal,
    });
    const played = await play({ stage, worker, onEvent, signal });
    worker.close();
    return await judge({ stage, play: played, records: worker.records, events, databases, startedAtMs, signal });
  } finally {
    await stage.close();
  }
}
