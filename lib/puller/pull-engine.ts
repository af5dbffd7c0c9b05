import { dockerEngine, isDockerEngine, type DockerEngine } from '../engine/docker/docker-engine.js';
import { isOciLayout, type OciLayout } from '../engine/layout/oci-layout.js';
import { InvalidOptionError } from '../errors/invalid-option-error.js';
import type { OptionBag } from '../policy/option-bag.js';

/** Where a puller can bring images. */
export type PullEngine = OciLayout | DockerEngine;

/** @throws InvalidOptionError */
export function parseEngine(bag: OptionBag): PullEngine | null {
  const raw = bag.raw('engine');
  if (raw === undefined) return null;
  if (isOciLayout(raw) || isDockerEngine(raw)) return raw;
  throw new InvalidOptionError(bag.pathOf('engine'), 'must be an engine, such as dockerEngine() or ociLayout(…)');
}

/** The engine of a puller that was given none: this host's Docker, looked for when it is first wanted. */
export class DefaultEngine {
  #engine: DockerEngine | null = null;

  /** @throws InvalidOptionError when what says where Docker is (DOCKER_HOST, a context) cannot be read */
  get(): DockerEngine {
    this.#engine ??= dockerEngine();
    return this.#engine;
  }

  async close(): Promise<void> {
    await this.#engine?.close();
  }
}
