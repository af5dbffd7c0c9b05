import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { PullerOptions } from '../../../lib/index.js';

/** What to pull, how often, and how many times to look in between; what JSON cannot say has no place in it. */
export interface RepeatOrder {
  readonly puller: Omit<PullerOptions, 'engine'>;
  readonly image: string;
  readonly directory: string;
  readonly times: number;
  readonly parts: number;
}

/** What a process holds while no pull is under way. */
export interface Held {
  /** After everything that could be collected was. */
  readonly heapBytes: number;
  /** Open files and sockets. */
  readonly descriptors: number;
  /** What Node says would keep the process alive, or could. */
  readonly resources: number;
  /** On the process itself. */
  readonly listeners: number;
}

/** Runs it to its end, and resolves with what it held after each part. */
export async function pullAgainAndAgain(order: RepeatOrder): Promise<readonly Held[]> {
  const program = fileURLToPath(new URL('./repeat-process.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--expose-gc',
    '--import',
    'tsx',
    program,
    JSON.stringify(order),
  ]);
  return JSON.parse(stdout) as readonly Held[];
}
