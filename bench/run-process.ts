import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { CommandLine } from './contender.js';

/** How a command ended, and what it took. */
export interface ProcessRun {
  readonly ending: 'done' | 'failed' | 'stopped';
  /** From before it was started until it had exited. */
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly maxRssBytes: number;
  /** The end of what it wrote to stderr. */
  readonly complaint: string;
}

/** What of a process's use is not seen: what it did after the last look at it. */
const sampleMs = 20;

/** Of what a failing command says, the end tells why. */
const keptComplaint = 2_000;

/** Ticks of `/proc/PID/stat` per second: Linux tells every process 100, whatever its kernel counts in. */
const ticksPerSecond = 100;

/** Runs a command to its end, or stops it after `capSeconds`. */
export async function runProcess(command: CommandLine, capSeconds: number): Promise<ProcessRun> {
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
  let use: ProcessUse = { cpuSeconds: 0, maxRssBytes: 0 };
  const sampler = setInterval(() => {
    use = readUse(child.pid) ?? use;
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
    return { ending, seconds: (atMs - startedAtMs) / 1_000, ...use, complaint: complaint.trim() };
  } finally {
    clearTimeout(cap);
    clearInterval(sampler);
    process.off('exit', end);
  }
}

interface ProcessUse {
  readonly cpuSeconds: number;
  readonly maxRssBytes: number;
}

/** What a process has used so far, all its threads together; null once it is gone. */
function readUse(pid: number | undefined): ProcessUse | null {
  try {
    // The name in brackets may hold anything, so the fields are counted from its end.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    const [userTicks, systemTicks] = [Number(fields[11]), Number(fields[12])];
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    if (peak === undefined) return null;
    return { cpuSeconds: (userTicks + systemTicks) / ticksPerSecond, maxRssBytes: Number(peak) * 1_024 };
  } catch {
    return null;
  }
}
