import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A directory of its own for each test of the suite, gone afterwards; whose user has no Docker configuration. */
export function useWorkingDirectory(): { readonly path: string } {
  let path = '';
  const dockerConfig = process.env['DOCKER_CONFIG'];
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'pull-failover-acceptance-'));
    process.env['DOCKER_CONFIG'] = join(path, 'docker-config');
  });
  afterEach(async () => {
    if (dockerConfig === undefined) delete process.env['DOCKER_CONFIG'];
    else process.env['DOCKER_CONFIG'] = dockerConfig;
    await rm(path, { recursive: true, force: true });
  });
  return {
    get path() {
      return path;
    },
  };
}
