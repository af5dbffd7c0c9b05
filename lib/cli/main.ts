#!/usr/bin/env node
import { monotonicMs } from '../clock/time.js';
import { Interrupted } from './exit-code.js';
import { runProgram } from './program.js';

/** A runner such as npm passes a Ctrl-C on that the terminal has sent to everybody already: one of them is meant. */
const secondThoughtMs = 1_000;

const controller = new AbortController();
let interruptedAtMs: number | null = null;

/** Ends the command in order; whoever asks again does not want to wait for that. */
function interrupt(signal: NodeJS.Signals): void {
  const interrupted = new Interrupted(signal);
  if (interruptedAtMs !== null && monotonicMs() - interruptedAtMs > secondThoughtMs) process.exit(interrupted.exitCode);
  interruptedAtMs ??= monotonicMs();
  controller.abort(interrupted);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
// Whoever read the output has gone (`| head`).
process.stdout.on('error', () => interrupt('SIGPIPE'));
process.stderr.on('error', () => undefined);

const { stdout, stderr, env } = process;
void runProgram(process.argv.slice(2), { stdout, stderr, env, signal: controller.signal }).then((exitCode) => {
  process.exitCode = exitCode;
});
