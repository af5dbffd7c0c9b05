import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Run } from './contender.js';

/** A command to run. */
export interface CommandLine {
  readonly program: string;
  readonly args: readonly string[];
  /** Files to write first, by path. */
  readonly files: Readonly<Record<string, string>>;
}

/** What of a process's use is not seen: what it did after the last look at it. */
const sampleMs = 20;

/** Of what a failing command says, the end tells why. */
const keptComplaint = 2_000;

/** Ticks of `/proc/PID/stat` per second: Linux tells every process 100, whatever its kernel counts in. */
const ticksPerSecond = 100;

/** Runs a command to its end, or stops it after `capSeconds`; it takes from before it was started until it had exited. */
export async function runProcess(command: CommandLine, capSeconds: number): Promise<Run> {
  for (const [path, text] of Object.entries(command.files)) {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }
  const startedAtMs = performance.now();
  const child = spawn(command.program, command.args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const end = (): void => void child.kill('SIGKILL');
  process.once('exit', end);
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-keptComplaint);
  });
  let cpuSeconds = 0;
  const sampler = setInterval(() => {
    cpuSeconds = readCpuSeconds(child.pid) ?? cpuSeconds;
  }, sampleMs);
  let isStopped = false;
  const cap = setTimeout(() => {
    isStopped = true;
    end();
  }, capSeconds * 1_000);
  try {
    const exited = once(child, 'exit').then(([code]) => ({ code: code as number | null, atMs: performance.now() }));
    const [{ code, atMs }] = await Promise.all([exited, once(child, 'close')]);
    const ending = isStopped ? 'stopped' : code === 0 ? 'done' : 'failed';
    return { ending, seconds: (atMs - startedAtMs) / 1_000, amounts: { cpuSeconds }, complaint: complaint.trim() };
  } finally {
    clearTimeout(cap);
    clearInterval(sampler);
    process.off('exit', end);
  }
}

/** What a process has used so far, all its threads together; null once it is gone. */
function readCpuSeconds(pid: number | undefined): number | null {
  try {
    // The name in brackets may hold anything, so the fields are counted from its end.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  } catch {
    return null;
  }
}
