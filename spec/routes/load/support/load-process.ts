import Dockerode from 'dockerode';
import { dockerEngine } from '../../../../lib/engine/docker/docker-engine.js';
import { openHeartRig } from '../../../failover/support/heart-rig.js';
import { startLoad } from './load-rig.js';

/** One load in a process of its own: `load-process.ts SOCKET REGISTRY`. Says `begun`, and `done` if it lives to see it. */
async function main(): Promise<void> {
  const [socketPath = '', host = ''] = process.argv.slice(2);
  const rig = await openHeartRig({ registries: [{ host }], timeouts: {} });
  const load = await startLoad(dockerEngine(new Dockerode({ socketPath })), rig.openPull());
  const whole = load.whole();
  process.stdout.write('begun\n');
  await whole;
  process.stdout.write('done\n');
}

void main();
