import { monotonicMs } from '../clock/time.js';
import type { Phase } from '../vocabulary/phase.js';
import type { PullEventBody, PullScope, Voice } from './voice.js';

/** One call of `pullWithFailover`, as the work it wants sees it. */
export interface Caller {
  readonly voice: Voice;
  /** When this call has to be over, on the monotonic clock. */
  readonly endsAtMs: number;
  /** Ends this call with that error; the work goes on while anybody else wants it. */
  readonly leave: (error: unknown) => void;
}

/**
 * Those who want one piece of work. What the work tells, each of them tells in its own name, from when it joined:
 * a host that follows one operation need not know that another one fetches for it.
 */
export class Callers {
  readonly #callers = new Map<Caller, { waitEndsAtMs: number | null }>();
  readonly #told = new Set<string>();
  #plan: PullEventBody | null = null;
  #parked: PullEventBody | null = null;
  readonly #phases = new Set<Phase>();

  /** Lets a caller in, and tells it how things stand. */
  add(caller: Caller): void {
    this.#callers.set(caller, { waitEndsAtMs: null });
    if (this.#plan !== null) caller.voice.tell(this.#plan);
    for (const phase of this.#phases) caller.voice.tell({ type: 'phase:started', phase });
    if (this.#parked !== null) caller.voice.tell(this.#parked);
  }

  remove(caller: Caller): void {
    this.#callers.delete(caller);
  }

  get size(): number {
    return this.#callers.size;
  }

  get scopes(): readonly PullScope[] {
    return [...this.#callers.keys()].map(({ voice }) => voice.scope);
  }

  /** `operation.kind` of each, null for one that has none. */
  get kinds(): readonly (string | null)[] {
    return this.scopes.map(({ operation }) => operation?.kind ?? null);
  }

  /** When the last of them has to be over, on the monotonic clock. */
  get endsAtMs(): number {
    return Math.max(...[...this.#callers.keys()].map(({ endsAtMs }) => endsAtMs));
  }

  /** Sends one of them away with that error; false when it is not here. */
  dismiss(pullId: string, error: unknown): boolean {
    const caller = [...this.#callers.keys()].find(({ voice }) => voice.scope.pullId === pullId);
    if (caller === undefined) return false;
    this.remove(caller);
    caller.leave(error);
    return true;
  }

  /** Until when this one waits at most, on the monotonic clock: its time begins when it is first asked for. */
  waitEndsAtMs(pullId: string, waitMs: number): number {
    const found = [...this.#callers].find(([{ voice }]) => voice.scope.pullId === pullId);
    if (found === undefined) return monotonicMs();
    const [, wait] = found;
    wait.waitEndsAtMs ??= monotonicMs() + waitMs;
    return wait.waitEndsAtMs;
  }

  tell(event: PullEventBody): void {
    this.#remember(event);
    for (const { voice } of this.#callers.keys()) voice.tell(event);
  }

  /** Tells it unless something was told under this key before. */
  tellOnce(key: string, event: PullEventBody): void {
    if (this.#told.has(key)) return;
    this.#told.add(key);
    this.tell(event);
  }

  #remember(event: PullEventBody): void {
    switch (event.type) {
      case 'pull:planned':
        this.#plan = event;
        break;
      case 'phase:started':
        this.#phases.add(event.phase);
        break;
      case 'phase:ended':
        this.#phases.delete(event.phase);
        break;
      case 'pull:parked':
        this.#parked = event;
        break;
      case 'pull:resumed':
        this.#parked = null;
        break;
      default:
        break;
    }
  }
}
