/** A process that says who it is, as the names that it would leave in an engine do, and lives until it is killed. */
import { ownOwner } from '../../../../lib/files/process-owner.js';

process.stdout.write(`${ownOwner()}\n`);
process.stdin.resume();
