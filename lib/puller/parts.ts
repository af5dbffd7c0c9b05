import type { KeptAddresses } from '../distribution/kept-addresses.js';
import type { Transport } from '../distribution/transport.js';
import type { EventBus } from '../events/event-bus.js';
import type { HedgeGate } from '../failover/hedge.js';
import type { DigestMemory } from '../failover/manifest/resolve-image.js';
import type { SharedFetches } from '../failover/shared/shared-fetch.js';
import type { TransferBudget } from '../failover/transfer-budget.js';
import type { Attribution } from '../health/attribution.js';
import type { Circuits } from '../health/circuit.js';
import type { Controls } from '../health/control/controls.js';
import type { ProbeTargets } from '../health/probe/probe-targets.js';
import type { StateStore } from '../health/state-store.js';
import type { Clients } from './clients.js';
import type { ConnectionRamps } from '../failover/transfer.js';
import type { CarPark } from './park.js';
import type { PullerSettings } from './options.js';
import type { Relays } from './relays.js';
import type { RunningPulls } from './running-pulls.js';

/** What all pulls of one puller share. */
export interface PullerParts {
  readonly settings: PullerSettings;
  readonly bus: EventBus;
  readonly transport: Transport;
  readonly clients: Clients;
  readonly addresses: KeptAddresses;
  readonly circuits: Circuits;
  readonly attribution: Attribution;
  readonly hedge: HedgeGate;
  readonly budget: TransferBudget;
  readonly ramps: ConnectionRamps;
  readonly shared: SharedFetches;
  readonly relays: Relays;
  readonly memory: DigestMemory;
  readonly carPark: CarPark;
  readonly running: RunningPulls;
  /** Looks for what other processes and operators have said. Cheap where nothing has changed. Never rejects. */
  readonly refresh: () => Promise<void>;
  /** Where documents are kept that survive a restart. */
  readonly store: StateStore;
  /** What probes can ask registries for. */
  readonly probeTargets: ProbeTargets;
  /** What operators want. */
  readonly controls: Controls;
  /** Ends everything that is under way, background requests too. */
  readonly ending: AbortSignal;
}
