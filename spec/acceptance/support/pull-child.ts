import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { PullerOptions, PullEvent, PullEventName, PullOptions, PullReport } from '../../../lib/index.js';

/** What the process of a host is to do; what JSON cannot say has no place in it. */
export interface PullOrder {
  readonly puller: Omit<PullerOptions, 'engine'>;
  /** All at once. */
  readonly pulls: readonly {
    readonly image: string;
    /** Of the layout. */
    readonly directory: string;
    readonly options?: Omit<PullOptions, 'engine' | 'signal'>;
  }[];
  /** Aborts every pull, or closes the puller under them, at the first event of this type. */
  readonly end?: { readonly on: PullEventName; readonly how: 'abort' | 'close' };
  /** Makes every write to the disk take so many milliseconds. */
  readonly writesTakeMs?: number;
}

/** What it says. */
export type PullLine =
  | { readonly kind: 'event'; readonly event: PullEvent }
  | { readonly kind: 'report'; readonly report: PullReport; readonly inspected: string }
  | { readonly kind: 'failed'; readonly name: string; readonly explained: string; readonly inspected: string }
  | {
      readonly kind: 'closed';
      /** TCP connections that were open when the puller had closed. */
      readonly connections: number;
      /** The most memory this process ever had, in bytes. */
      readonly peakBytes: number;
      readonly delayedWrites: number;
      readonly inspected: string;
    };

type LineOf<Kind extends PullLine['kind']> = Extract<PullLine, { readonly kind: Kind }>;

/** A process of a host that pulls images. */
export interface PullChild {
  readonly pid: number;
  readonly lines: readonly PullLine[];
  readonly events: readonly PullEvent[];
  /** Everything it wrote, to both outputs. */
  readonly output: string;
  /** Resolves with the first line of which this holds, also an earlier one. Rejects when it ends without. */
  until<Line extends PullLine>(isIt: (line: PullLine) => line is Line): Promise<Line>;
  /** Stops it in its tracks, or lets it go on. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void;
  /** `kill -9`, and waits until it is gone. */
  kill(): Promise<void>;
  /** Resolves when it has ended by itself, without a failure. */
  ended(): Promise<{ readonly atMs: number }>;
}

export function startPullChild(order: PullOrder, env: Readonly<Record<string, string>> = {}): PullChild {
  const program = fileURLToPath(new URL('./pull-process.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', program, JSON.stringify(order)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  const exited = once(child, 'exit').then(([code, signal]: unknown[]) => ({ code, signal, atMs: performance.now() }));
  const lines: PullLine[] = [];
  const written: string[] = [];
  const waiting = new Set<() => void>();
  child.stderr.on('data', (chunk: Buffer) => written.push(chunk.toString('utf8')));
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (text) => {
    written.push(text);
    lines.push(JSON.parse(text) as PullLine);
    for (const look of waiting) look();
  });
  const read = once(reader, 'close');

  return {
    pid: child.pid ?? 0,
    lines,
    get events() {
      return lines.flatMap((line) => (line.kind === 'event' ? [line.event] : []));
    },
    get output() {
      return written.join('\n');
    },
    until: async <Line extends PullLine>(isIt: (line: PullLine) => line is Line) => {
      let look: (() => void) | undefined;
      const found = new Promise<Line>((resolve) => {
        look = () => {
          const line = lines.find((each) => isIt(each));
          if (line !== undefined) resolve(line);
        };
        waiting.add(look);
        look();
      });
      const gone = Promise.all([exited, read]).then(() => {
        throw new Error(`the process ended without saying so: ${written.join('\n').slice(-4_000)}`);
      });
      gone.catch(() => {});
      try {
        return await Promise.race([found, gone]);
      } finally {
        if (look !== undefined) waiting.delete(look);
      }
    },
    signal: (name) => {
      child.kill(name);
    },
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
    ended: async () => {
      const { code, signal, atMs } = await exited;
      await read;
      if (code !== 0) throw new Error(`ended with ${String(code ?? signal)}: ${written.join('\n').slice(-4_000)}`);
      return { atMs };
    },
  };
}

/** Holds of a line of this kind. */
export function isLine<Kind extends PullLine['kind']>(kind: Kind): (line: PullLine) => line is LineOf<Kind> {
  return (line): line is LineOf<Kind> => line.kind === kind;
}

/** Holds of an event of this type, of which this is true. */
export function isEvent(
  type: PullEventName,
  isIt: (event: PullEvent) => boolean = () => true,
): (line: PullLine) => line is LineOf<'event'> {
  return (line): line is LineOf<'event'> => line.kind === 'event' && line.event.type === type && isIt(line.event);
}
