/** The process that `lateness.spec.ts` starts: pulls as told, is late as told, and says how the registries fared. */
import { ociLayout } from '../../lib/engine/layout/oci-layout.js';
import { createPuller } from '../../lib/puller/create-puller.js';
import type { Timeouts } from '../../lib/policy/limits.js';

/** What the process is to do. */
export interface LateOrder {
  readonly directory: string;
  readonly registries: readonly string[];
  /** Pulled all at once. */
  readonly images: readonly string[];
  readonly timeouts?: Timeouts;
  /** Blocks the event loop for so long, once layers are arriving. */
  readonly blockMs?: number;
}

/** What it has seen when all pulls are over. */
export interface LateOutcome {
  readonly attempts: readonly string[];
  readonly failovers: number;
  readonly circuits: readonly string[];
  readonly errors: readonly string[];
}

function blockFor(ms: number): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
}

async function obey(order: LateOrder): Promise<LateOutcome> {
  const { directory, registries, images, timeouts, blockMs } = order;
  const puller = createPuller({
    engine: ociLayout(directory),
    registries,
    ...(timeouts === undefined ? {} : { timeouts }),
  });
  puller.events.once('pull:progressed', () => process.stdout.write('fetching\n'));
  if (blockMs !== undefined) {
    let blocked = 0;
    puller.events.on('pull:progressed', ({ phase, bytes }) => {
      if (phase !== 'layers' || bytes.fetched < 50_000 || blocked === 2) return;
      blocked += 1;
      blockFor(blockMs);
    });
  }
  const settled = await Promise.allSettled(images.map((image) => puller.pullWithFailover(image)));
  const reports = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  const outcome: LateOutcome = {
    attempts: reports.flatMap((report) => report.attempts.map(({ reason }) => reason.message)),
    failovers: reports.flatMap(({ failovers }) => failovers).length,
    circuits: puller.health().flatMap(({ registry, phase, state }) => (state === 'closed' ? [] : [registry, phase])),
    errors: settled.flatMap((each) => (each.status === 'rejected' ? [String(each.reason)] : [])),
  };
  await puller.close();
  return outcome;
}

void obey(JSON.parse(process.argv[2] ?? '{}') as LateOrder).then((outcome) => {
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
});
