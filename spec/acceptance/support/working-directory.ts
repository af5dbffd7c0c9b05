import { join } from 'node:path';
import { useTemporaryDirectory } from '../../support/temporary-directory.js';

/** A directory of its own for each test of the suite, gone afterwards; whose user has no Docker configuration. */
export function useWorkingDirectory(): { readonly path: string } {
  const temporary = useTemporaryDirectory();
  const dockerConfig = process.env['DOCKER_CONFIG'];
  beforeEach(() => {
    process.env['DOCKER_CONFIG'] = join(temporary.path, 'docker-config');
  });
  afterEach(() => {
    if (dockerConfig === undefined) delete process.env['DOCKER_CONFIG'];
    else process.env['DOCKER_CONFIG'] = dockerConfig;
  });
  return temporary;
}
