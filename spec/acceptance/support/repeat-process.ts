/** A process that pulls the same image again and again, and tells what it holds after each part of the pulls. */
import { readdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { createPuller, ociLayout } from '../../../lib/index.js';
import type { Held, RepeatOrder } from './repeat-child.js';

const { puller: options, image, directory, times, parts } = JSON.parse(process.argv[2] ?? '{}') as RepeatOrder;

/** What nobody refers to any more is no leak: collected first, until there is no less. */
async function hold(): Promise<Held> {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error('run this with --expose-gc');
  let heapBytes = Infinity;
  for (;;) {
    await pause(20);
    await gc({ type: 'major', execution: 'async' });
    const { heapUsed } = process.memoryUsage();
    if (heapUsed > heapBytes - 10_000) break;
    heapBytes = heapUsed;
  }
  return {
    heapBytes,
    descriptors: readdirSync('/proc/self/fd').length,
    resources: process.getActiveResourcesInfo().length,
    listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
  };
}

const engine = ociLayout(directory);
const puller = createPuller({ ...options, engine });
const all: Held[] = [];
for (let part = 0; part < parts; part += 1) {
  for (let at = 0; at < times / parts; at += 1) await puller.pullWithFailover(image);
  all.push(await hold());
}
process.stdout.write(JSON.stringify(all));
await puller.close();
