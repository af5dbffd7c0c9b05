/** A process of a host that pulls images, ends its puller, and then has nothing left to do. Speaks JSON lines. */
import { appendFileSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { createPuller, explainFailure, ociLayout, type OciLayout } from '../../../lib/index.js';
import type { PullLine, PullOrder } from './pull-child.js';
import { slowWritesDown } from './slow-disk.js';

const order = JSON.parse(process.argv[2] ?? '{}') as PullOrder;

/** Written at once: a line must not wait for a loop that is about to be stopped. */
function say(line: PullLine): void {
  appendFileSync(1, `${JSON.stringify(line)}\n`);
}

/** Those of this process, also the ones that would not keep it alive. */
function openConnections(): number {
  const tcp = ['/proc/self/net/tcp', '/proc/self/net/tcp6'].flatMap((path) =>
    readFileSync(path, 'utf8')
      .split('\n')
      .map((line) => `socket:[${line.trim().split(/\s+/)[9] ?? ''}]`),
  );
  const own = readdirSync('/proc/self/fd').map((name) => {
    try {
      return readlinkSync(join('/proc/self/fd', name));
    } catch {
      // The descriptor with which the directory was read.
      return '';
    }
  });
  return own.filter((link) => tcp.includes(link)).length;
}

const delayedWrites = order.writesTakeMs === undefined ? null : await slowWritesDown(order.writesTakeMs);
const engines = new Map<string, OciLayout>();
function engineOf(directory: string): OciLayout {
  const engine = engines.get(directory) ?? ociLayout(directory);
  engines.set(directory, engine);
  return engine;
}

const puller = createPuller(order.puller);
const ending = new AbortController();
let closing: Promise<void> | null = null;
puller.events.on('*', (event) => {
  say({ kind: 'event', event });
  if (event.type !== order.end?.on) return;
  if (order.end.how === 'abort') ending.abort(new Error('the host wants no more'));
  else closing ??= puller.close();
});

await Promise.all(
  order.pulls.map(async ({ image, directory, options = {} }) => {
    const engine = engineOf(directory);
    try {
      const report = await puller.pullWithFailover(image, { ...options, engine, signal: ending.signal });
      say({ kind: 'report', report, inspected: inspect(report, { depth: null }) });
    } catch (error) {
      say({
        kind: 'failed',
        name: error instanceof Error ? error.name : typeof error,
        explained: explainFailure(error),
        inspected: `${inspect(error, { depth: null, showHidden: true })} ${String(error)}`,
      });
    }
  }),
);
await (closing ?? puller.close());
// Descriptors are given back in the turn after their sockets were destroyed.
await pause(1);
say({
  kind: 'closed',
  connections: openConnections(),
  peakBytes: Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024,
  delayedWrites: delayedWrites?.count ?? 0,
  inspected: inspect(puller, { depth: null, showHidden: true }),
});
