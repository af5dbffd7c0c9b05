import { dockerParts, type DockerEngine } from '../../../lib/engine/docker/docker-engine.js';
import type { Relay } from '../../../lib/relay/relay.js';
import { chooseRoute, type ChosenRoute } from '../../../lib/routes/choose.js';
import { Comeback } from '../../../lib/routes/comeback.js';

/** Chooses a route as a pull of its own. */
export function chooseFor(
  engine: DockerEngine,
  relayOf: () => Promise<Relay>,
  signal: AbortSignal,
): Promise<ChosenRoute> {
  return chooseRoute(engine, relayOf, new Comeback(dockerParts(engine).daemon, 'pull-1'), signal);
}
