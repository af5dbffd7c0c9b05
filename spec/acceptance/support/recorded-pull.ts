import { createPuller, ociLayout, type PullerOptions, type PullEvent, type PullReport } from '../../../lib/index.js';

/** One pull by a puller of its own, from the beginning to the end. */
export interface RecordedPull {
  /** Null when it failed. */
  readonly report: PullReport | null;
  /** What it was rejected with; null when it succeeded. */
  readonly error: unknown;
  readonly events: readonly PullEvent[];
  readonly elapsedMs: number;
}

/** Pulls one image into a layout, and closes everything. */
export async function recordPull(
  image: string,
  directory: string,
  options: Omit<PullerOptions, 'engine'>,
): Promise<RecordedPull> {
  const engine = ociLayout(directory);
  const puller = createPuller({ ...options, engine });
  const events: PullEvent[] = [];
  puller.events.on('*', (event) => events.push(event));
  const startedAtMs = performance.now();
  const outcome = await puller.pullWithFailover(image).then(
    (report) => ({ report, error: null }),
    (error: unknown) => ({ report: null, error }),
  );
  const elapsedMs = performance.now() - startedAtMs;
  await puller.close();
  await engine.close();
  return { ...outcome, events, elapsedMs };
}

/** The report of a pull that has to succeed. */
export async function pulled(
  pull: Promise<RecordedPull>,
): Promise<RecordedPull & { readonly report: PullReport; readonly error: null }> {
  const recorded = await pull;
  if (recorded.report === null) throw recorded.error;
  return { ...recorded, report: recorded.report, error: null };
}
