import { spawnSync } from 'node:child_process';

/** Whether packages can be installed here, from the registry or from what npm has kept. */
export function canInstall(): boolean {
  const args = ['view', 'debug', 'version', '--prefer-offline', '--fetch-retries=0', '--fetch-timeout=10000'];
  return spawnSync('npm', args, { stdio: 'ignore', timeout: 30_000 }).status === 0;
}
