import { dockerParts, type DockerEngine } from '../engine/docker/docker-engine.js';
import { chooseRoute } from '../routes/choose.js';
import { startLayoutRoute } from '../routes/layout.js';
import { startLoadRoute } from '../routes/load/load.js';
import { startRelayRoute } from '../routes/relay/relay.js';
import type { Delivery, RouteChange, RouteRun } from '../routes/route.js';
import type { Reason, ReasonCode } from '../vocabulary/reason.js';
import type { Route } from '../vocabulary/route.js';
import type { PullEngine } from './pull-engine.js';
import type { PullJob } from './pull-job.js';
import type { Relays } from './relays.js';

/** How the bytes of one pull will reach its engine, decided before registries are asked. */
export type PlannedRoute = CarryingRoute | DirectRoute;

/** Why a route was chosen, in words; where there is a better one, how to get it. */
interface Chosen {
  readonly reason: string;
}

/** This process fetches, and carries what came to the engine. */
export interface CarryingRoute extends Chosen {
  readonly route: Exclude<Route, 'direct'>;
  /** Begins to carry. */
  start(delivery: Delivery): Promise<RouteRun>;
}

/** The engine fetches by itself. */
export interface DirectRoute extends Chosen {
  readonly route: 'direct';
  readonly engine: DockerEngine;
}

const layoutChoice = { route: 'layout', reason: 'the engine is an OCI image layout' } as const;

/** Daemons, and the lesser routes into them, of which this process was told already how to get a better one. */
const warned = new Set<string>();

/** Decides the route, by asking the daemon where it is one. @throws EngineError, HostFaultError, or the signal's own reason */
export async function planRoute(
  { engine, comeback }: Pick<PullJob, 'engine' | 'comeback'>,
  relays: Relays,
  signal: AbortSignal,
): Promise<PlannedRoute> {
  if (engine.kind === 'oci-layout') {
    return {
      ...layoutChoice,
      start: async (delivery) => startLayoutRoute(engine, delivery),
    };
  }
  const { route, why, advice } = await chooseRoute(engine, () => relays.of(engine), comeback, signal);
  if (advice !== null) warnOnce(engine, route, `${why}: ${advice}`);
  const reason = advice === null ? why : `${why}; ${advice}`;
  switch (route) {
    case 'relay':
      return { route, reason, start: async (delivery) => startRelayRoute(engine, await relays.of(engine), delivery) };
    case 'load':
      return { route, reason, start: async (delivery) => startLoadRoute(engine, delivery) };
    case 'direct':
      return { route, reason, engine };
  }
}

/** The engine that may pull by itself when this process reaches no registry; null where that was not left to us. */
export function lastResortOf(engine: PullEngine): DockerEngine | null {
  return engine.kind === 'docker' && dockerParts(engine).route === 'auto' ? engine : null;
}

/** Tells, once, why an engine has to pull by itself, and how this process could do better. */
export function warnOfLastResort(engine: DockerEngine, { message, code }: Reason): void {
  const why = `this process reaches no registry (${message}), so the engine pulls by itself`;
  warnOnce(engine, 'direct', `${why}: ${lastResortAdvice(code)}`);
}

function lastResortAdvice(code: ReasonCode): string {
  switch (code) {
    case 'tls-failed':
      return 'give the registry its authority as ca, or put that into /etc/docker/certs.d';
    case 'proxy-failed':
      return 'see to the proxy that HTTPS_PROXY or HTTP_PROXY of this process names, or unset them';
    default:
      return 'let this process reach the registries; where the engine goes through a proxy, set HTTPS_PROXY for this process too';
  }
}

/** Why a pull went on in another way than was planned, in words. */
export function reasonOfChange({ to, reason }: RouteChange): string {
  return `${reason.message}; so ${to === 'direct' ? 'the engine pulled by itself' : 'the rest was sent as an archive'}`;
}

function warnOnce(engine: DockerEngine, route: Route, message: string): void {
  const subject = `${engine.address} ${route}`;
  if (warned.has(subject) || dockerParts(engine).route !== 'auto') return;
  warned.add(subject);
  process.emitWarning(`${engine.id}: ${message}`, { type: 'PullFailoverWarning', code: 'PULL_FAILOVER_ROUTE' });
}

/** The route of an image that needs none, since the engine has it. */
export function untakenRoute(engine: PullEngine): Pick<PlannedRoute, 'route' | 'reason'> {
  if (engine.kind === 'oci-layout') return layoutChoice;
  const { route } = dockerParts(engine);
  return { route: route === 'auto' ? 'relay' : route, reason: 'the image is in the engine: no route was taken' };
}
