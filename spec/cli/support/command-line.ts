import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { Output } from '../../../lib/cli/command-context.js';
import { runProgram } from '../../../lib/cli/program.js';
import { useTemporaryDirectory } from '../../support/temporary-directory.js';

/** How a command ended. */
export interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs in a process of its own. */
export interface Running {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Ended>;
  /** Resolves once its standard output holds this text. Rejects when it ends without it. */
  untilPrinted(text: string | RegExp): Promise<void>;
}

/** A place of its own for each test: temporary files, Docker's configuration and layouts go there. */
export interface Desk {
  readonly directory: string;
  /** What a command is given as its environment. */
  readonly env: NodeJS.ProcessEnv;
}

/** Makes a desk for each test of the suite; gone afterwards. */
export function useDesk(): Desk {
  const temporary = useTemporaryDirectory();
  return {
    get directory() {
      return temporary.path;
    },
    get env() {
      return deskEnvironment(temporary.path);
    },
  };
}

/** An engine that is not there. */
export const noEngine = 'unix:///nowhere/docker.sock';

/** The environment of whoever runs the specs must not decide what they see. */
export function deskEnvironment(directory: string): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    HOME: directory,
    TMPDIR: directory,
    DOCKER_CONFIG: directory,
    DOCKER_HOST: noEngine,
    TERM: 'xterm-256color',
  };
}

/** Of util-linux: runs a command on a pseudo-terminal of its own. */
export const terminalMaker = 'script';

const mainFile = join(import.meta.dirname, '../../../lib/cli/main.ts');
const nodeArguments = ['--import', 'tsx', mainFile];

export function startCommand(args: readonly string[], env: NodeJS.ProcessEnv): Running {
  return follow(spawn(process.execPath, [...nodeArguments, ...args], { env }));
}

export async function runCommand(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Ended> {
  return startCommand(args, env).ended;
}

/** Starts a command on a terminal of 80 columns; what is written to its standard input is typed there. */
export function startOnTerminal(args: readonly string[], env: NodeJS.ProcessEnv): Running {
  const words = [process.execPath, ...nodeArguments, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  const command = `stty cols 80 rows 30; exec ${words.join(' ')}`;
  return follow(spawn(terminalMaker, ['--quiet', '--return', '--command', command, '/dev/null'], { env }));
}

/** Runs a command in this process, without a terminal. */
export async function runHere(args: readonly string[], signal?: AbortSignal): Promise<Ended> {
  const [stdout, stderr] = [collector(), collector()];
  const exitCode = await runProgram(args, {
    stdout: stdout.output,
    stderr: stderr.output,
    env: { DOCKER_HOST: noEngine },
    signal: signal ?? new AbortController().signal,
  });
  return { exitCode, stdout: stdout.text(), stderr: stderr.text() };
}

function collector(): { readonly output: Output; text(): string } {
  const chunks: Buffer[] = [];
  const output = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk);
      done();
    },
  });
  return { output, text: () => Buffer.concat(chunks).toString('utf8') };
}

function follow(child: ChildProcessWithoutNullStreams): Running {
  const streams = { stdout: '', stderr: '' };
  const listeners = new Set<() => void>();
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      streams[name] += text;
      for (const listener of listeners) listener();
    });
  }
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode) => resolve({ exitCode, ...streams }));
  });
  return {
    child,
    ended,
    untilPrinted: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = typeof text === 'string' ? streams.stdout.includes(text) : text.test(streams.stdout);
          if (!found) return;
          listeners.delete(look);
          resolve();
        };
        listeners.add(look);
        look();
        void ended.then((end) => reject(new Error(`ended without ${String(text)}: ${JSON.stringify(end)}`)), reject);
      }),
  };
}
