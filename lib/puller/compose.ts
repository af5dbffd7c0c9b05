import { createKeptAddresses } from '../distribution/kept-addresses.js';
import type { NameResolver } from '../distribution/name-lookup.js';
import { namesProxies } from '../distribution/proxies.js';
import { createTransport } from '../distribution/transport.js';
import type { EventBus } from '../events/event-bus.js';
import { HedgeGate } from '../failover/hedge.js';
import { SharedFetches } from '../failover/shared/shared-fetch.js';
import { createTransferBudget } from '../failover/transfer-budget.js';
import { ConnectionRamps } from '../failover/transfer.js';
import { createAttribution } from '../health/attribution.js';
import { createCircuits } from '../health/circuit.js';
import { circuitsDocument } from '../health/circuits-document.js';
import { createControls } from '../health/control/controls.js';
import type { ControlledSet } from '../health/control/control-places.js';
import { followControlFile, type FollowedFile } from '../health/control/follow-control-file.js';
import { controlsDocument } from '../health/control/stored-controls.js';
import { createProber, type Prober } from '../health/probe/prober.js';
import { createProbeTargets } from '../health/probe/probe-targets.js';
import { probeTargetsDocument } from '../health/probe/probe-targets-document.js';
import { openRememberedDigests, type RememberedDigests } from '../health/remembered-digests.js';
import { openStateStore } from '../health/state-store.js';
import { createLog } from '../log/log.js';
import type { Registry } from '../registries/registry.js';
import { registryPhases } from '../vocabulary/phase.js';
import { redactText } from '../vocabulary/redact.js';
import type { Callers } from './callers.js';
import { Clients } from './clients.js';
import type { PullerSettings } from './options.js';
import { CarPark } from './park.js';
import type { PullerParts } from './parts.js';
import { resolvePolicy } from './pull-policy.js';
import { Relays } from './relays.js';
import { RunningPulls } from './running-pulls.js';

const log = createLog('health');

/** The parts of one puller, and what has to be ended with it. */
export interface ComposedParts extends PullerParts {
  readonly memory: RememberedDigests;
  readonly carPark: CarPark;
  /** Null where there is none. */
  readonly controlFile: FollowedFile | null;
  /** Begins to look at registries that are ill; returns what ends it. */
  readonly startProbes: () => Prober;
  /** Those who want the work under way, by the id of the pull that began it. */
  readonly callersOf: Map<string, Callers>;
}

/**
 * Puts a puller's parts together. Nothing is contacted, and no timer keeps the process alive.
 *
 * @param resolve how names are looked up; default: as this host does
 */
export function composeParts(
  settings: PullerSettings,
  bus: EventBus,
  ending: AbortSignal,
  resolve?: NameResolver,
): ComposedParts {
  const running = new RunningPulls();
  const callersOf = new Map<string, Callers>();
  const store = openStateStore(settings.stateDir);
  const contacted = settings.replicaSets.registries.filter(({ contact }) => contact).map(({ prefix }) => prefix);
  const transport = createTransport({ env: process.env, ...(resolve === undefined ? {} : { resolve }) });
  const circuits = createCircuits(
    settings.health,
    {
      opened: (change) => {
        log(null, 'circuit opened', { registry: change.registry, phase: change.phase, why: change.reason.message });
        // Pulls under way need not find out by themselves.
        running.demote(change.registry, change.phase);
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
    { registries: contacted, document: store.document(circuitsDocument) },
  );
  const attribution = createAttribution(({ registry, phase, reason }) => {
    circuits.record(registry, phase, { ill: reason });
  });
  const carPark = new CarPark(circuits, settings.health.coolDownMs, settings.resumeAtOnce);
  const controls = createControls({
    replicaSets: controlledSets(settings),
    document: store.document(controlsDocument),
    onChanged: (change) => {
      log(null, 'an operator acted', { change: change.change, what: change.message });
      for (const registry of contacted) {
        for (const phase of registryPhases) circuits.hold(registry, phase, controls.heldAs(registry, phase));
      }
      bus.emit({ type: 'operator:changed', ...change });
      if (change.control === null) return;
      const inFlight = change.change === 'set' ? change.control.inFlight : 'finish';
      running.steer({ reason: { cause: 'caller', code: 'steered', message: change.message }, inFlight });
      carPark.operatorActed();
    },
  });
  const probeTargets = createProbeTargets(store.document(probeTargetsDocument));
  const controlFile = settings.controlFile === null ? null : followControlFile(settings.controlFile, controls);

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
    store,
    bus,
    transport,
    clients,
    addresses: createKeptAddresses(transport),
    circuits,
    attribution,
    hedge,
    budget: createTransferBudget(settings.transfer),
    ramps: new ConnectionRamps(settings.transfer.connectionsPerBlob, (registry) => hedge.isFar(registry)),
    shared: new SharedFetches(),
    relays: new Relays(),
    memory: openRememberedDigests(store),
    carPark,
    running,
    controls,
    controlFile,
    startProbes: () =>
      createProber({
        circuits,
        settings: settings.health,
        targets: probeTargets,
        limits: resolvePolicy([settings.policy]).limits,
        clientOf: (prefix) =>
          clients.forProbe(
            prefix,
            settings.replicaSets.registries.find((registry) => registry.prefix === prefix),
          ),
        registries: contacted,
        onProbed: ({ registry, phase, outcome }) =>
          attribution.probed(registry, phase, outcome === 'good' ? 'good' : 'ill'),
        onLooked: ({ result, ...look }) =>
          bus.emit({
            type: 'registry:probed',
            ...look,
            outcome: result.kind === 'good' || result.kind === 'ill' ? result.kind : 'unknown',
            reason: result.kind === 'ill' ? result.reason : null,
          }),
      }),
    probeTargets,
    refresh: async () => {
      await Promise.all([circuits.load(), controls.load(), probeTargets.load(), controlFile?.look()]);
    },
    callersOf,
    ending,
  };
}

function controlledSets({ replicaSets }: PullerSettings): readonly ControlledSet[] {
  return replicaSets.sets.map(({ name, registries }) => ({
    name,
    registries: registries.filter(({ contact }) => contact).map(({ prefix }) => prefix),
  }));
}
