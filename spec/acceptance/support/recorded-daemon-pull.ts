import {
  createPuller,
  type CircuitHealth,
  dockerEngine,
  type DockerEngineOptions,
  type PullerOptions,
  type PullEvent,
  type PullOptions,
  type PullReport,
} from '../../../lib/index.js';
import type { RealEngine } from '../../support/real-engine.js';

/** One pull into a daemon, by a puller of its own, from the beginning to the end. */
export interface RecordedDaemonPull {
  /** Null when it failed. */
  readonly report: PullReport | null;
  /** What it was rejected with; null when it succeeded. */
  readonly error: unknown;
  readonly events: readonly PullEvent[];
  /** Circuits that are not closed. */
  readonly ill: readonly CircuitHealth[];
  readonly elapsedMs: number;
}

export interface DaemonPullRequest {
  readonly image: string;
  readonly puller: Omit<PullerOptions, 'engine'>;
  readonly engine?: DockerEngineOptions;
  readonly options?: Omit<PullOptions, 'engine'>;
}

/** Pulls one image into a daemon, and closes everything. */
export async function recordDaemonPull(
  { docker }: Pick<RealEngine, 'docker'>,
  request: DaemonPullRequest,
): Promise<RecordedDaemonPull> {
  await using engine = dockerEngine(docker, request.engine);
  await using puller = createPuller({ ...request.puller, engine });
  const events: PullEvent[] = [];
  puller.events.on('*', (event) => events.push(event));
  const startedAtMs = performance.now();
  const outcome = await puller.pullWithFailover(request.image, request.options).then(
    (report) => ({ report, error: null }),
    (error: unknown) => ({ report: null, error }),
  );
  const elapsedMs = performance.now() - startedAtMs;
  const ill = puller.health().filter(({ state }) => state !== 'closed');
  return { ...outcome, events, ill, elapsedMs };
}

/** The report of a pull that has to succeed. */
export async function broughtBy(
  pull: Promise<RecordedDaemonPull>,
): Promise<RecordedDaemonPull & { readonly report: PullReport }> {
  const recorded = await pull;
  if (recorded.report === null) throw recorded.error;
  return { ...recorded, report: recorded.report };
}
