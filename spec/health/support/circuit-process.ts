import { createInterface } from 'node:readline';
import { circuitsDocument } from '../../../lib/health/circuits-document.js';
import { createCircuits } from '../../../lib/health/circuit.js';
import { parseHealthOptions } from '../../../lib/health/health-options.js';
import { openStateStore } from '../../../lib/health/state-store.js';
import type { Reason } from '../../../lib/vocabulary/reason.js';

/**
 * `circuit-process.ts DIRECTORY`: circuits over that directory. Each line of its input is a word and a registry:
 * `ill`, `good`, `place`; it answers with the registry's place, once all is on disk.
 */
const [directory = ''] = process.argv.slice(2);
const reason: Reason = { cause: 'registry-storage', code: 'stalled', message: 'it stopped sending' };

async function run(): Promise<void> {
  const circuits = createCircuits(
    parseHealthOptions({ consecutiveFailures: 1, coolDownMs: 200, maxCoolDownMs: 200 }),
    {},
    { document: openStateStore(directory).document(circuitsDocument) },
  );
  for await (const line of createInterface(process.stdin)) {
    const [word = '', registry = ''] = line.split(' ');
    await circuits.load();
    if (word === 'ill') circuits.record(registry, 'layers', { ill: reason });
    if (word === 'good') circuits.record(registry, 'layers', 'good', 'probe');
    const place = circuits.place(registry, 'layers');
    await circuits.flush();
    process.stdout.write(`${place}\n`);
  }
}

void run();
