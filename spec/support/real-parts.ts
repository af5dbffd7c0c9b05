import { spawnSync } from 'node:child_process';
import type { Context } from 'mocha';

/**
 * Lets a suite that runs on a real part (a registry, skopeo, a mount) be skipped where the part is missing.
 * With `REQUIRE_REAL=1`, as in CI, a missing part is a failure: nothing is left out silently.
 *
 * @param how tells how to get it: a package, a privilege
 */
export function requireReal(name: string, how: string, isThere: () => boolean = () => isInstalled(name)): void {
  before(`needs ${name}`, function (this: Context) {
    if (isThere()) return;
    leaveOut(name, how);
    if (process.env['REQUIRE_REAL'] === '1') throw new Error(`${name} is missing and REQUIRE_REAL=1: ${how}`);
    this.skip();
  });
}

const leftOut: Map<string, string> = new Map();

/** Remembers what could not run, and says so once everything else has: a skipped suite scrolls out of sight. */
export function leaveOut(name: string, how: string): void {
  if (leftOut.size === 0) {
    process.once('exit', () => {
      const lines = [...leftOut].map(([part, get]) => `  ${part} (${get})`);
      process.stderr.write(`Suites were left out for want of:\n${lines.join('\n')}\n`);
    });
  }
  leftOut.set(name, how);
}

/** Whether a command of this name can be run. */
export function isInstalled(command: string): boolean {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined;
}
