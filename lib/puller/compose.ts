import { createKeptAddresses } from '../distribution/kept-addresses.js';
import type { NameResolver } from '../distribution/name-lookup.js';
import { namesProxies } from '../distribution/proxies.js';
import { createTransport } from '../distribution/transport.js';
import type { EventBus } from '../events/event-bus.js';
import { HedgeGate } from '../failover/hedge.js';
import { SharedFetches } from '../failover/shared/shared-fetch.js';
import type { Sources } from '../failover/sources.js';
import { createTransferBudget } from '../failover/transfer-budget.js';
import { ConnectionRamps } from '../failover/transfer.js';
import { createCircuits } from '../health/circuit.js';
import { openRememberedDigests, type RememberedDigests } from '../health/remembered-digests.js';
import { openStateStore } from '../health/state-store.js';
import { createLog } from '../log/log.js';
import type { Registry } from '../registries/registry.js';
import { redactText } from '../vocabulary/redact.js';
import type { Callers } from './callers.js';
import { Clients } from './clients.js';
import type { PullerSettings } from './options.js';
import { CarPark } from './park.js';
import type { PullerParts } from './parts.js';
import { Relays } from './relays.js';

const log = createLog('health');

/** The parts of one puller, and what has to be ended with it. */
export interface ComposedParts extends PullerParts {
  readonly memory: RememberedDigests;
  readonly carPark: CarPark;
  /** Those who want the work under way, by the id of the pull that began it. */
  readonly callersOf: Map<string, Callers>;
}

/**
 * Puts a puller's parts together. Nothing is contacted, no timer runs.
 *
 * @param resolve how names are looked up; default: as this host does
 */
export function composeParts(
  settings: PullerSettings,
  bus: EventBus,
  ending: AbortSignal,
  resolve?: NameResolver,
): ComposedParts {
  const running = new Set<Sources>();
  const callersOf = new Map<string, Callers>();
  const transport = createTransport({ env: process.env, ...(resolve === undefined ? {} : { resolve }) });
  const circuits = createCircuits(
    settings.health,
    {
      opened: (change) => {
        log(null, 'circuit opened', { registry: change.registry, phase: change.phase, why: change.reason.message });
        // Pulls under way need not find out by themselves.
        for (const sources of running) sources.demote(change.registry, change.phase);
        bus.emit({ type: 'circuit:opened', ...change });
      },
      halfOpened: (change) => {
        log(null, 'circuit half-opened', { registry: change.registry, phase: change.phase });
        bus.emit({ type: 'circuit:half-opened', ...change });
      },
      closed: (change) => {
        log(null, 'circuit closed', { registry: change.registry, phase: change.phase });
        bus.emit({ type: 'circuit:closed', ...change });
      },
    },
    { registries: settings.replicaSets.registries.filter(({ contact }) => contact).map(({ prefix }) => prefix) },
  );

  const onCredentialsRejected = (registry: Registry) => (pullId: string, message: string) => {
    const reason = { cause: 'credentials', code: 'credentials-rejected', message: redactText(message) } as const;
    callersOf.get(pullId)?.tellOnce(`rejected ${registry.prefix}`, {
      type: 'registry:credentials-rejected',
      registry: registry.prefix,
      reason,
    });
  };
  const clients = new Clients({
    transport,
    followsEngineProxies: !namesProxies(process.env),
    onCredentialsRejected,
  });

  const hedge = new HedgeGate(settings.transfer.hedge);
  return {
    settings,
    bus,
    transport,
    clients,
    addresses: createKeptAddresses(transport),
    circuits,
    hedge,
    budget: createTransferBudget(settings.transfer),
    ramps: new ConnectionRamps(settings.transfer.connectionsPerBlob, (registry) => hedge.isFar(registry)),
    shared: new SharedFetches(),
    relays: new Relays(),
    memory: openRememberedDigests(openStateStore(settings.stateDir)),
    carPark: new CarPark(circuits, settings.health.coolDownMs),
    running,
    callersOf,
    ending,
  };
}
