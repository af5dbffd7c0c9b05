import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Names the file in which all processes of one run of the tests note what they leave out. */
const variable = 'PULL_FAILOVER_LEFT_OUT';

/** Notes what could not run, and how to get it: it is said once everything else has run, for a skipped suite scrolls out of sight. */
export function leaveOut(part: string, how: string): void {
  const line = `  ${part} (${how})\n`;
  const file = process.env[variable];
  if (file === undefined) process.stderr.write(`Left out for want of\n${line}`);
  else appendFileSync(file, line);
}

/** Before the first process that runs specs is started. */
export function mochaGlobalSetup(): void {
  process.env[variable] = join(mkdtempSync(join(tmpdir(), 'left-out-')), 'parts');
  appendFileSync(process.env[variable], '');
}

export function mochaGlobalTeardown(): void {
  const file = process.env[variable];
  if (file === undefined) return;
  const parts = new Set(readFileSync(file, 'utf8').split('\n').filter(Boolean));
  if (parts.size > 0) process.stderr.write(`Suites were left out for want of:\n${[...parts].join('\n')}\n`);
  rmSync(dirname(file), { recursive: true });
}
