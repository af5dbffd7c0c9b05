import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Real time, also where a spec moves time by hand. */
const { setTimeout: realSetTimeout } = globalThis;

export interface PrivateDaemonOptions {
  /** Names it in paths and messages. */
  readonly name: string;
  /** With its arguments; its data root is `/mnt/root`, its socket `/mnt/daemon.sock`. The name is nobody else's. */
  readonly command: (name: string) => readonly string[];
  /** The root of the system whose programs it runs. */
  readonly release: string;
  /** Files it finds below `/etc`, by their path there. */
  readonly etc?: Readonly<Record<string, string>>;
  /** Gives it a data root that is no larger. */
  readonly dataRootBytes?: number | undefined;
  /** `own`: another loopback than ours, and nothing else. Default `shared`. */
  readonly network?: 'shared' | 'own';
  readonly environment?: Readonly<Record<string, string>> | undefined;
}

/** A daemon that ends, with everything it started and mounted, when it is closed or when this process ends. */
export interface PrivateDaemon extends AsyncDisposable {
  readonly socketPath: string;
  /** A process, as the host counts, in whose namespaces the daemon runs: `nsenter` takes it. */
  readonly processId: number;
  /** Its data root, as the host can read it. */
  readonly dataRoot: string;
  /** What it has written to its log. */
  log(): string;
  /** Starts it, where it does not run, and waits until it answers. */
  start(): Promise<void>;
  /** Ends it with this signal, and waits until it is gone; the containers it started may stay. */
  end(signal: 'KILL' | 'TERM'): Promise<void>;
  /** Sends it a signal that does not end it. */
  signal(signal: 'STOP' | 'CONT' | 'HUP'): Promise<void>;
  close(): Promise<void>;
}

const script = join(dirname(fileURLToPath(import.meta.url)), 'private-daemon.sh');

/** It takes one or two seconds where nothing else runs. */
const startLimitMs = 40_000;

/** Whether this process may have namespaces and mounts of its own. */
export function canIsolate(): boolean {
  return spawnSync('bash', ['-c', 'unshare --mount --pid --fork true'], { stdio: 'ignore' }).status === 0;
}

/** Starts a daemon in namespaces of its own. */
export async function startPrivateDaemon(options: PrivateDaemonOptions): Promise<PrivateDaemon> {
  const folder = mkdtempSync(join(tmpdir(), `${options.name}-`));
  for (const [path, text] of Object.entries(options.etc ?? {})) {
    const file = join(folder, 'etc', path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  const child = spawn(
    'bash',
    [
      script,
      folder,
      options.release,
      String(options.dataRootBytes ?? 0),
      options.network === 'own' ? 'private' : 'shared',
      ...options.command(basename(folder)),
    ],
    // A group of its own: an interrupt at the terminal would end what is to clean up.
    { detached: true, stdio: ['pipe', 'pipe', 'inherit'], env: { ...inherited(), ...options.environment } },
  );
  const ask = conversation(child);
  const closed = once(child, 'close');
  const close = async (): Promise<void> => {
    child.stdin?.end();
    await closed;
  };
  const socketPath = join(folder, 'daemon.sock');
  const log = (): string => {
    try {
      return readFileSync(join(folder, 'daemon.log'), 'utf8');
    } catch {
      return '';
    }
  };
  const start = async (): Promise<void> => {
    if ((await ask('state')) !== 'running') await ask('start');
    const endMs = performance.now() + startLimitMs;
    while (!(await answers(socketPath))) {
      if ((await ask('state')) !== 'running' || performance.now() > endMs) {
        throw new Error(`${options.name} did not start: ${log().slice(-4_000)}`);
      }
      await new Promise((resolve) => realSetTimeout(resolve, 25));
    }
  };
  try {
    const processId = Number((await ask(null)).replace('ready ', ''));
    await start();
    return {
      socketPath,
      processId,
      dataRoot: `/proc/${processId}/root/mnt/root`,
      log,
      start,
      end: async (signal) => void (await ask(`kill ${signal}`)),
      signal: async (signal) => void (await ask(`signal ${signal}`)),
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** No proxies and temporary directories of this process: those are not there, or would be taken for the daemon's. */
function inherited(): Record<string, string> {
  const { PATH = '', HOME = '/root', PULL_FAILOVER_CI = '' } = process.env;
  return { PATH, HOME, PULL_FAILOVER_CI };
}

/** One answer for each line that is sent, in order; null sends nothing, for the first answer comes by itself. */
function conversation(child: ChildProcess): (line: string | null) => Promise<string> {
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error('it has no pipes');
  // It may have ended; then its answer is missing, and that says so.
  stdin.on('error', () => undefined);
  const answers = createInterface({ input: stdout })[Symbol.asyncIterator]();
  let last: Promise<unknown> = Promise.resolve();
  return async (line) => {
    const answer = last.then(async () => {
      if (line !== null) stdin.write(`${line}\n`);
      const { done, value } = await answers.next();
      if (done === true) throw new Error('the namespaces of the daemon are gone');
      return value;
    });
    last = answer.catch(() => undefined);
    return answer;
  };
}

async function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ socketPath, path: '/_ping', agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.on('error', () => resolve(false));
    asked.end();
  });
}
