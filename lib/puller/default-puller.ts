import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { NotConfiguredError } from '../errors/not-configured-error.js';
import { createEventBus, type PullEvents } from '../events/event-bus.js';
import type { PullReport } from '../vocabulary/report.js';
import { createPullerIn } from './create-puller.js';
import type { PullerOptions, PullOptions } from './options.js';
import type { Puller } from './puller.js';

const bus = createEventBus();
let current: Puller | null = null;
/** A closed one stays until the next is configured: it says that it is closed, and that another try may succeed. */
let isClosed = false;

/** The default puller's events. May be subscribed to before `configure`. */
export const events: PullEvents = bus;

/**
 * Makes the default puller of this process, which `pullWithFailover` and `events` belong to, and returns it.
 * Once per process; after it was closed, again.
 *
 * @throws InvalidOptionError, also when it was called before and the puller it returned is not closed
 */
export function configure(options: PullerOptions): Puller {
  if (current !== null && !isClosed) {
    throw new InvalidOptionError(
      'configure',
      'was called already in this process: close the puller that it returned first, or make another one with createPuller',
    );
  }
  const onClosing = (): void => {
    isClosed = true;
  };
  current = createPullerIn({ bus, onClosing }, options);
  isClosed = false;
  return current;
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
