import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { SeededImageOptions } from '../../../lib/testing/index.js';

/** What the process of a double says when it listens. */
export interface DoubleReady {
  readonly host: string;
  /** Of each image, by its name. */
  readonly digests: Readonly<Record<string, string>>;
}

/** A registry double in a process of its own, which makes its bytes up as they are asked for. */
export interface DoubleChild extends DoubleReady {
  close(): Promise<void>;
}

/** @param images by their names, `team/app:1.0` */
export async function startDoubleChild(images: Readonly<Record<string, SeededImageOptions>>): Promise<DoubleChild> {
  const program = fileURLToPath(new URL('./double-process.ts', import.meta.url));
  const child = fork(program, [JSON.stringify(images)], { execArgv: ['--import', 'tsx'] });
  const exited = once(child, 'exit');
  const early = exited.then(() => Promise.reject(new Error('the process of the registry double has ended')));
  early.catch(() => {});
  const [ready] = (await Promise.race([once(child, 'message'), early])) as [DoubleReady];
  return {
    ...ready,
    close: async () => {
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}
