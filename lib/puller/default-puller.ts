import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { NotConfiguredError } from '../errors/not-configured-error.js';
import { createEventBus, type PullEvents } from '../events/event-bus.js';
import type { PullReport } from '../vocabulary/report.js';
import { createPullerOn } from './create-puller.js';
import type { PullerOptions, PullOptions } from './options.js';
import type { Puller } from './puller.js';

const bus = createEventBus();
let current: Puller | null = null;

/** The default puller's events. May be subscribed to before `configure`. */
export const events: PullEvents = bus;

/**
 * Makes the default puller of this process, which `pullWithFailover` and `events` belong to, and returns it.
 * Once per process; after it was closed, again.
 *
 * @throws InvalidOptionError
 */
export function configure(options: PullerOptions): Puller {
  if (current !== null) {
    throw new InvalidOptionError(
      'configure',
      'was called already in this process: close the puller that it returned first, or make another one with createPuller',
    );
  }
  const puller = createPullerOn(options, bus);
  const configured: Puller = {
    ...puller,
    close: async (closeOptions) => {
      if (current === configured) current = null;
      await puller.close(closeOptions);
    },
    [Symbol.asyncDispose]: () => configured.close(),
  };
  current = configured;
  return configured;
}

/**
 * Brings an image into the engine through the default puller; see `Puller.pullWithFailover`.
 *
 * @throws NotConfiguredError when `configure` was not called
 */
export async function pullWithFailover(image: string, options: PullOptions = {}): Promise<PullReport> {
  if (current === null) throw new NotConfiguredError();
  return current.pullWithFailover(image, options);
}
