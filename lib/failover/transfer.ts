import { createBoundedMap } from '../policy/bounded-map.js';
import { ConnectionRamp } from './blob/connection-ramp.js';
import type { HedgeBytes } from './hedge-bytes.js';
import type { Claim, TransferBudget } from './transfer-budget.js';
import type { TransferSettings } from './transfer-options.js';

/** How one pull may move the bytes of its blobs. */
export interface PullTransfer {
  readonly settings: TransferSettings;
  /** Shared by all pulls of the puller. */
  readonly budget: TransferBudget;
  /** What is known of the links to registries; shared as well. */
  readonly ramps: ConnectionRamps;
  /** In whose name this pull takes its share. */
  readonly claim: Pick<Claim, 'kind' | 'pullId'>;
  /** What its hedges may cost. */
  readonly hedgeBytes: HedgeBytes;
}

/** Links remembered; a host that pulls from tenants' names must not grow without bound. */
const maxRegistries = 1_000;

/** How many connections per blob are of use, for each registry. */
export class ConnectionRamps {
  readonly #ramps = createBoundedMap<string, ConnectionRamp>(maxRegistries);
  readonly #most: number;
  readonly #isFar: (registry: string) => boolean;

  /**
   * @param connectionsPerBlob the most
   * @param isFar whether a registry's answers take long
   */
  constructor(connectionsPerBlob: number, isFar: (registry: string) => boolean = () => false) {
    this.#most = connectionsPerBlob;
    this.#isFar = isFar;
  }

  of(registry: string): ConnectionRamp {
    const known = this.#ramps.get(registry);
    if (known !== undefined) return known;
    const ramp = new ConnectionRamp(this.#most, () => this.#isFar(registry));
    this.#ramps.set(registry, ramp);
    return ramp;
  }
}
