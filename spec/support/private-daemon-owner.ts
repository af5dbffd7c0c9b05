import { startDockerd } from './docker-engine.js';

// Run as a process of its own, which is ended from outside.
const { socketPath } = await startDockerd();
process.stdout.write(`${socketPath}\n`);
setInterval(() => undefined, 60_000);
