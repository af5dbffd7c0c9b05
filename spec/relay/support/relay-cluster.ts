/** A cluster of two workers, each with a relay: says in one line where they are, and ends. */
import cluster from 'node:cluster';
import { startRelay } from '../../../lib/relay/start-relay.js';

if (cluster.isPrimary) {
  const addresses: unknown[] = [];
  cluster.on('message', (_, address) => {
    addresses.push(address);
    if (addresses.length < 2) return;
    process.stdout.write(`${JSON.stringify(addresses)}\n`);
    for (const worker of Object.values(cluster.workers ?? {})) worker?.kill();
  });
  for (let count = 0; count < 2; count += 1) cluster.fork();
} else {
  const { address } = await startRelay({ listen: { host: '127.0.0.1', port: 0 }, advertise: null });
  process.send?.(address);
}
