import { spawnSync } from 'node:child_process';
import type { Context } from 'mocha';
import { leaveOut } from './left-out.js';

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

/** Whether a command of this name can be run. */
export function isInstalled(command: string): boolean {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined;
}
