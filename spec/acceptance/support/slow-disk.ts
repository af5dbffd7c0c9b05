import { open, type FileHandle } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';

/** How many writes have been slow so far. */
export interface SlowWrites {
  readonly count: number;
}

/** Makes every write to a file of this process take so long, as on a disk that is shared with too many others. */
export async function slowWritesDown(ms: number): Promise<SlowWrites> {
  const handle = await open('/dev/null', 'w');
  const prototype = Object.getPrototypeOf(handle) as Pick<FileHandle, 'write' | 'writev'>;
  await handle.close();
  const slow = { count: 0 };
  for (const name of ['write', 'writev'] as const) {
    const real = prototype[name] as (...args: unknown[]) => Promise<unknown>;
    Object.assign(prototype, {
      async [name](this: FileHandle, ...args: unknown[]) {
        slow.count += 1;
        await pause(ms);
        return real.apply(this, args);
      },
    });
  }
  return slow;
}
