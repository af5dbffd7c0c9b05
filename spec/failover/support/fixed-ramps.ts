import { ConnectionRamp } from '../../../lib/failover/blob/connection-ramp.js';
import { ConnectionRamps } from '../../../lib/failover/transfer.js';

/** Knows from the start how many connections are of use, so that a spec needs no link that is slow enough to measure. */
class FixedRamp extends ConnectionRamp {
  readonly #fixed: number;

  constructor(connections: number) {
    super(connections);
    this.#fixed = connections;
  }

  override get connections(): number {
    return this.#fixed;
  }

  override arrived(): void {}
}

/** As many connections for each blob from each registry, whatever they bring. */
export class FixedRamps extends ConnectionRamps {
  readonly #ramp: FixedRamp;

  constructor(connections: number) {
    super(connections);
    this.#ramp = new FixedRamp(connections);
  }

  override of(): ConnectionRamp {
    return this.#ramp;
  }
}
