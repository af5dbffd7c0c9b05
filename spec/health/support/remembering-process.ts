import { parseDigest } from '../../../lib/image/digest.js';
import { openRememberedDigests } from '../../../lib/health/remembered-digests.js';
import { openStateStore } from '../../../lib/health/state-store.js';

/** `remembering-process.ts DIRECTORY NAME COUNT`: remembers COUNT images called NAME-0, NAME-1, … one after the other. */
const [directory = '', name = '', count = '0'] = process.argv.slice(2);

async function run(): Promise<void> {
  const digests = openRememberedDigests(openStateStore(directory));
  for (let index = 0; index < Number(count); index += 1) {
    const digest = parseDigest(`sha256:${index.toString(16).padStart(64, '0')}`);
    if (digest === null) throw new Error('not a digest');
    await digests.remember(`${name}-${index}`, { digest, configs: {}, registry: name });
    await digests.flush();
    process.stdout.write(`${index}\n`);
  }
}

void run();
