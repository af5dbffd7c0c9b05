import { execFileSync } from 'node:child_process';
import { cpus, loadavg, totalmem } from 'node:os';

/** What the numbers were measured on. */
export interface Machine {
  readonly cores: number;
  readonly cpu: string;
  readonly memoryBytes: number;
  /** Runnable processes before the first round, averaged over a minute: others that were busy blur every number. */
  readonly loadBefore: number;
  readonly node: string;
}

export function describeMachine(): Machine {
  return {
    cores: cpus().length,
    cpu: (cpus()[0]?.model ?? 'unknown').trim(),
    memoryBytes: totalmem(),
    loadBefore: loadavg()[0] ?? Number.NaN,
    node: process.versions.node,
  };
}

/** How often it was measured, and on what. */
export function machineText({ cores, cpu, memoryBytes, loadBefore }: Machine, rounds: number): string {
  return [
    `Medians of ${rounds} ${rounds === 1 ? 'round' : 'rounds'}, with the shortest and the longest in brackets, on ${cores} cores (${cpu}) and`,
    `${Math.round(memoryBytes / 2 ** 30)} GiB of memory, with a load of ${loadBefore.toFixed(1)} before;`,
  ].join('\n');
}

/** What `--version` of a tool says; null when there is no such tool. */
export function versionOf(tool: string, args: readonly string[] = ['--version']): string | null {
  try {
    const text = execFileSync(tool, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return /\d+\.\d+\.\d+/.exec(text)?.[0] ?? text.trim();
  } catch {
    return null;
  }
}
