import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Bandwidth, Fault, SeededImageOptions } from '../../../lib/testing/index.js';

/** What the process is to serve, and how it fails. */
export interface HastyOrder {
  readonly images: Readonly<Record<string, SeededImageOptions>>;
  readonly faults: readonly Fault[];
  readonly bandwidth: Bandwidth;
}

/** A registry double in a process of its own: it goes on while this process does nothing. */
export interface HastyRegistry {
  readonly host: string;
  close(): Promise<void>;
}

export async function startHastyRegistry(order: HastyOrder): Promise<HastyRegistry> {
  const program = fileURLToPath(new URL('./hasty-process.ts', import.meta.url));
  const child = fork(program, [JSON.stringify(order)], { execArgv: ['--import', 'tsx'] });
  const exited = once(child, 'exit');
  const early = exited.then(() => Promise.reject(new Error('the process of the registry has ended')));
  early.catch(() => {});
  const [host] = (await Promise.race([once(child, 'message'), early])) as [string];
  return {
    host,
    close: async () => {
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}
