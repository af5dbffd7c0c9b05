import type { FaultScript, Place } from './fault-script.js';
import type { Origin } from './origin.js';

/** Keeps ports closed while a fault says that nobody listens. */
export interface Refusal {
  /** Resolves once the ports are as the script wants them now; they follow it from then on. */
  follow(script: FaultScript): Promise<void>;
  close(): void;
}

export function createRefusal(origins: Readonly<Partial<Record<Place, Origin>>>): Refusal {
  let timer: NodeJS.Timeout | undefined;
  async function follow(script: FaultScript): Promise<void> {
    clearTimeout(timer);
    const changesInMs = script.refusalChangesInMs();
    if (changesInMs !== null) timer = setTimeout(() => void follow(script), Math.ceil(changesInMs));
    const places: readonly Place[] = ['registry', 'storage'];
    await Promise.all(
      places.map(async (place) => {
        await origins[place]?.setRefusing(script.refuses(place));
        // What is kept alive would go on as if the port were open.
        if (script.faults.some((fault) => fault.on === 'connection' && (fault.at ?? 'registry') === place)) {
          origins[place]?.closeIdle();
        }
      }),
    );
  }
  return { follow, close: () => clearTimeout(timer) };
}
