import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type {
  CircuitHealth,
  DockerEngineOptions,
  PullerOptions,
  PullEvent,
  PullOptions,
  PullReport,
} from '../../../lib/index.js';
import { emittedProgram } from './emitted-program.js';

/** What the process of a host is made of; what JSON cannot say has no place in it. */
export interface HostOrder {
  /** Of its daemon. */
  readonly socketPath: string;
  readonly engine?: DockerEngineOptions;
  readonly puller: Omit<PullerOptions, 'engine'>;
}

/** What it is told. */
export type HostCommand =
  | {
      readonly do: 'pull';
      readonly id: number;
      readonly image: string;
      readonly options?: Omit<PullOptions, 'engine' | 'signal'>;
    }
  /** Ends every pull. */
  | { readonly do: 'abort' }
  /** Closes everything, after which nothing keeps it alive. */
  | { readonly do: 'close' };

/** How one pull ended. */
export type HostAnswer =
  | { readonly kind: 'report'; readonly id: number; readonly report: PullReport; readonly inspected: string }
  | {
      readonly kind: 'failed';
      readonly id: number;
      readonly name: string;
      readonly code: string;
      readonly explained: string;
      readonly inspected: string;
    };

/** What it says at its end. */
export interface HostClosed {
  readonly kind: 'closed';
  readonly title: string;
  readonly health: readonly CircuitHealth[];
  /** The most memory this process ever had, in bytes. */
  readonly peakBytes: number;
  readonly inspected: string;
}

/** What it says. */
export type HostLine =
  | { readonly kind: 'ready' }
  | { readonly kind: 'event'; readonly event: PullEvent }
  | { readonly kind: 'warning'; readonly name: string; readonly message: string }
  | HostAnswer
  | HostClosed;

/** A process of a host, with one puller for one daemon. */
export interface HostChild {
  readonly pid: number;
  readonly events: readonly PullEvent[];
  /** Warnings of its process. */
  readonly warnings: readonly string[];
  /** Everything it wrote, to both outputs. */
  readonly output: string;
  /** Resolves when it can be told something. */
  ready(): Promise<void>;
  /** Begins a pull; resolves with how it ended. */
  start(image: string, options?: Omit<PullOptions, 'engine' | 'signal'>): Promise<HostAnswer>;
  /** The same, of which anything but a report is a failure of the spec. */
  pull(image: string, options?: Omit<PullOptions, 'engine' | 'signal'>): Promise<PullReport>;
  /** Resolves with the first event of which this holds, also an earlier one. */
  event(isIt: (event: PullEvent) => boolean): Promise<PullEvent>;
  /** Ends every pull, as a caller does. */
  abort(): void;
  /** `kill -9`, and waits until it is gone. */
  kill(): Promise<void>;
  /** Lets it close everything, and waits until it has ended by itself. */
  close(): Promise<HostClosed>;
}

export interface HostPlace {
  /** What its command is given to: `nsenter` and where. */
  readonly within?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const program = fileURLToPath(new URL('./host-process.ts', import.meta.url));

export function startHostChild(order: HostOrder, { within = [], env = {} }: HostPlace = {}): HostChild {
  const [command, ...parameters] = [...within, process.execPath, emittedProgram(program)];
  const child = spawn(command, parameters, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  const exited = once(child, 'exit').then(([code, signal]: unknown[]) => ({ code, signal }));
  const lines: HostLine[] = [];
  const written: string[] = [];
  const waiting = new Set<() => void>();
  // It may have been killed.
  child.stdin.on('error', () => undefined);
  // Not among its arguments, which anybody on the machine can read.
  child.stdin.write(`${JSON.stringify(order)}\n`);
  child.stderr.on('data', (chunk: Buffer) => written.push(chunk.toString('utf8')));
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (text) => {
    written.push(text);
    lines.push(JSON.parse(text) as HostLine);
    for (const look of waiting) look();
  });
  const read = once(reader, 'close');
  let pulls = 0;

  const tell = (given: HostCommand): void => {
    child.stdin.write(`${JSON.stringify(given)}\n`);
  };
  const until = async <Line extends HostLine>(isIt: (line: HostLine) => line is Line): Promise<Line> => {
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
  };
  const start: HostChild['start'] = (image, options) => {
    pulls += 1;
    const id = pulls;
    tell({ do: 'pull', id, image, ...(options === undefined ? {} : { options }) });
    const answer = until(
      (line): line is HostAnswer => (line.kind === 'report' || line.kind === 'failed') && line.id === id,
    );
    // Whoever kills it awaits no answer.
    answer.catch(() => {});
    return answer;
  };

  return {
    pid: child.pid ?? 0,
    get events() {
      return lines.flatMap((line) => (line.kind === 'event' ? [line.event] : []));
    },
    get warnings() {
      return lines.flatMap((line) => (line.kind === 'warning' ? [`${line.name}: ${line.message}`] : []));
    },
    get output() {
      return written.join('\n');
    },
    ready: async () => {
      await until((line): line is Extract<HostLine, { readonly kind: 'ready' }> => line.kind === 'ready');
    },
    start,
    pull: async (image, options) => {
      const answer = await start(image, options);
      if (answer.kind === 'report') return answer.report;
      throw new Error(`the pull failed: ${answer.inspected}`);
    },
    event: async (isIt) => {
      type EventLine = Extract<HostLine, { readonly kind: 'event' }>;
      const { event } = await until((line): line is EventLine => line.kind === 'event' && isIt(line.event));
      return event;
    },
    abort: () => tell({ do: 'abort' }),
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
    close: async () => {
      tell({ do: 'close' });
      const closed = await until((line): line is HostClosed => line.kind === 'closed');
      const { code, signal } = await exited;
      await read;
      if (code !== 0) throw new Error(`ended with ${String(code ?? signal)}: ${written.join('\n').slice(-4_000)}`);
      return closed;
    },
  };
}
