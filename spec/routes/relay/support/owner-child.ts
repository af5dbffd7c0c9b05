import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Another process that could have pulled. */
export interface OwnerChild {
  /** As its names tell it. */
  readonly owner: string;
  /** `kill -9`, and waits until it is gone. Idempotent. */
  kill(): Promise<void>;
}

const program = fileURLToPath(new URL('owner-process.ts', import.meta.url));

export async function startOwnerChild(): Promise<OwnerChild> {
  const child = spawn(process.execPath, ['--import', 'tsx', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const [owner] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return {
    owner,
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
