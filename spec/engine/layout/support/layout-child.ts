import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** What the other process is told to do, with the blob of this seed and size. */
export type Order = { readonly seed: number; readonly size: number } & (
  | { readonly do: 'open' | 'commit' | 'close' }
  | { readonly do: 'write'; readonly to: number }
  | { readonly do: 'name'; readonly name: string }
);

export interface Reply {
  readonly kept: number | null;
  readonly error?: string;
}

/** Another process at work on the layout. */
export interface LayoutChild {
  readonly pid: number;
  /** Resolves when it has done so. */
  tell(order: Order): Promise<Reply>;
  /** Stops it in its tracks, or lets it go on. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void;
  /** `kill -9`, and waits until it is gone. */
  kill(): Promise<void>;
  /** Resolves with its exit code when it has ended by itself. */
  ended(): Promise<number | null>;
}

/** @param through a command that runs the process in some other way, with its arguments: `unshare …` */
export function startLayoutChild(directory: string, through: readonly string[] = []): LayoutChild {
  const [command, ...execArgv] = [...through, process.execPath, '--import', 'tsx'];
  const child = fork(fileURLToPath(new URL('./layout-process.ts', import.meta.url)), [directory], {
    execPath: command,
    execArgv,
  });
  const exited = once(child, 'exit');
  return {
    pid: child.pid ?? 0,
    tell: async (order) => {
      const replied = once(child, 'message') as Promise<[Reply]>;
      // A process that was killed takes no orders; that it has ended says so.
      child.send(order, () => {});
      const ended = exited.then(() => Promise.reject(new Error('the process has ended')));
      const [reply] = await Promise.race([replied, ended]);
      if (reply.error !== undefined) throw new Error(reply.error);
      return reply;
    },
    signal: (name) => {
      child.kill(name);
    },
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
    ended: async () => {
      const [code] = (await exited) as [number | null];
      return code;
    },
  };
}
