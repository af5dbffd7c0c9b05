import type { PullEvents } from '../events/event-bus.js';
import type { PullEvent } from '../events/pull-event.js';

/** Which pull somebody waits for. */
export interface ExpectedPull {
  /** The canonical name. */
  readonly image: string;
  /** The engine's id. */
  readonly engine: string;
  readonly hear: (event: PullEvent) => void;
}

/**
 * Gives each call the events of its own pull. A call learns the id of its pull from no one: events of calls come in the
 * order of the calls, so the first pull that begins is the first one that was expected.
 */
export class PullListeners {
  readonly #events: PullEvents;
  readonly #expected = new Set<ExpectedPull>();
  readonly #begun = new Map<string, ExpectedPull>();
  #stop: (() => void) | null = null;

  constructor(events: PullEvents) {
    this.#events = events;
  }

  /** Call it right before the pull; what it returns ends the listening. */
  expect(pull: ExpectedPull): () => void {
    this.#expected.add(pull);
    this.#stop ??= this.#events.on('*', (event) => this.#pass(event));
    return () => {
      this.#expected.delete(pull);
      for (const [id, begun] of this.#begun) if (begun === pull) this.#begun.delete(id);
      if (this.#expected.size > 0 || this.#begun.size > 0) return;
      this.#stop?.();
      this.#stop = null;
    };
  }

  #pass(event: PullEvent): void {
    if (!('pullId' in event)) return;
    if (event.type === 'pull:started') {
      const pull = [...this.#expected].find(({ image, engine }) => image === event.image && engine === event.engine);
      if (pull === undefined) return;
      this.#expected.delete(pull);
      this.#begun.set(event.pullId, pull);
    }
    this.#begun.get(event.pullId)?.hear(event);
  }
}
