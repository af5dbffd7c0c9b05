import type { DockerEngine } from '../../engine/docker/docker-engine.js';
import { DirectPull } from './direct-pull.js';
import type { DirectRequest, DirectRun } from './direct-request.js';

export type { DirectDelivered, DirectRequest, DirectRun } from './direct-request.js';
export { directLimits, type DirectLimits } from './direct-limits.js';

/**
 * Has an engine pull from one registry after another, by digest where that is known, and watches what it says: when a
 * limit expires, that pull is ended and the next registry is asked. What no registry can help with, a daemon that waits
 * for another pull's layers or keeps wrong bytes, ends in an archive that this process sends.
 *
 * @throws from each step: PullExhaustedError, HostFaultError, EngineError, UnsupportedImageError, or the signal's own
 *   reason
 */
export function startDirectRoute(engine: DockerEngine, request: DirectRequest): DirectRun {
  const pull = new DirectPull(engine, request);
  return {
    metadata: () => pull.hasBegun(),
    layers: () => pull.hasLayers(),
    extract: () => pull.done(),
  };
}
