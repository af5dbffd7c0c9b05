import type { EventBus, PullEventDraft } from '../events/event-bus.js';
import type { Operation } from '../vocabulary/operation.js';

/** Whom an event of a pull is about. */
export interface PullScope {
  readonly pullId: string;
  readonly image: string;
  readonly operation: Operation | null;
  readonly engine: string;
}

type WithoutScope<Event> = Event extends PullScope ? Omit<Event, keyof PullScope> : never;

/** An event of a pull, before it is said of which. */
export type PullEventBody = WithoutScope<PullEventDraft>;

/** Speaks for one pull: every event carries the pull's scope, and after the end nothing is said any more. */
export class Voice {
  readonly scope: PullScope;
  readonly #bus: EventBus;
  #hasEnded = false;

  constructor(bus: EventBus, scope: PullScope) {
    this.#bus = bus;
    this.scope = scope;
  }

  tell(event: PullEventBody): void {
    if (this.#hasEnded) return;
    this.#bus.emit({ ...event, ...this.scope });
  }

  /** Tells how the pull ended: the last event of it, whatever still happens in the background. */
  end(event: Extract<PullEventBody, { type: 'pull:succeeded' | 'pull:failed' | 'pull:aborted' }>): void {
    this.tell(event);
    this.#hasEnded = true;
  }
}
