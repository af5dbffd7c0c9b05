import { EventEmitter } from 'eventemitter3';
import { epochMs } from '../clock/time.js';
import { logListenerFailure } from './listener-failure.js';
import type { PullEvent, PullEventOf, PullEventType } from './pull-event.js';

/** The name of one event, or `'*'` for all of them. */
export type PullEventName = PullEventType | '*';

/** What a listener of `Name` is given. */
export type PullEventNamed<Name extends PullEventName> = Name extends PullEventType ? PullEventOf<Name> : PullEvent;

/** What it returns is ignored, except that a rejected promise is logged. */
export type PullEventListener<Name extends PullEventName> = (event: PullEventNamed<Name>) => unknown;

/** What to wait for. */
export interface WaitOptions<Name extends PullEventName> {
  readonly signal?: AbortSignal;
  /** Which of these events is meant; default the next one. */
  readonly filter?: (event: PullEventNamed<Name>) => boolean;
}

/**
 * The events of one puller. Listeners run synchronously, in the order of `seq`, while the pull waits: a slow one costs
 * time. One that throws or rejects is logged (`DEBUG=pull-failover:events`) and harms neither the pull nor the others.
 * They may be added and removed at any time; a removed one is not called again, not even for an event that is under way.
 */
export interface PullEvents {
  /** Calls `listener` for each event of that name, `'*'` for every event. Returns what removes it. */
  on<Name extends PullEventName>(name: Name, listener: PullEventListener<Name>): () => void;
  /** As `on`, for the next such event only. */
  once<Name extends PullEventName>(name: Name, listener: PullEventListener<Name>): () => void;
  /** Removes `listener`, as often as it was added under that name. */
  off<Name extends PullEventName>(name: Name, listener: PullEventListener<Name>): void;
  /** Resolves with the next event that `filter` takes. Rejects with the signal's own reason, or what `filter` throws. */
  waitFor<Name extends PullEventName>(name: Name, options?: WaitOptions<Name>): Promise<PullEventNamed<Name>>;
}

type Unstamped<Event> = Event extends unknown ? Omit<Event, 'seq' | 'atMs'> : never;

/** An event before it is numbered. */
export type PullEventDraft = Unstamped<PullEvent>;

/** The side of the events that the puller holds. */
export interface EventBus extends PullEvents {
  /** Numbers and dates the event, and gives a frozen copy of it to the listeners. Never throws. */
  emit(draft: PullEventDraft): void;
  /**
   * Hears each event before all listeners, and without a copy of its own: for the library's own books, which change nothing
   * and keep nothing of it that others could change. Returns what stops it.
   */
  tap(hear: (event: PullEvent) => void): () => void;
}

/** Any listener; whoever calls it knows the event's type. */
type AnyListener = (event: never) => unknown;

interface Registration {
  readonly name: PullEventName;
  readonly listener: AnyListener;
  readonly remove: () => void;
}

/** Opens the bus of one puller; `seq` begins with 1. */
export function createEventBus(): EventBus {
  const emitter = new EventEmitter<Record<PullEventName, [PullEvent]>>();
  const registrations = new Set<Registration>();
  const queue: PullEvent[] = [];
  const taps = new Set<(event: PullEvent) => void>();
  let emitting = false;
  let seq = 0;

  function register(name: PullEventName, listener: AnyListener, times: 'each' | 'once'): () => void {
    const call = (event: PullEvent): void => {
      // eventemitter3 still calls what was removed while it emits.
      if (!registrations.has(registration)) return;
      if (times === 'once') registration.remove();
      callSafely(listener as (event: PullEvent) => unknown, event);
    };
    const registration: Registration = {
      name,
      listener,
      remove: () => {
        if (registrations.delete(registration)) emitter.off(name, call);
      },
    };
    registrations.add(registration);
    emitter.on(name, call);
    return registration.remove;
  }

  const bus: EventBus = {
    on: (name, listener) => register(name, listener, 'each'),
    once: (name, listener) => register(name, listener, 'once'),
    off: (name, listener) => {
      for (const registration of registrations) {
        if (registration.name === name && registration.listener === listener) registration.remove();
      }
    },
    waitFor: (name, { signal, filter } = {}) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        const finish = (settle: () => void): void => {
          remove();
          signal?.removeEventListener('abort', abort);
          settle();
        };
        const abort = (): void => finish(() => reject(signal?.reason));
        const remove = bus.on(name, (event) => {
          try {
            if (filter === undefined || filter(event)) finish(() => resolve(event));
          } catch (error) {
            finish(() => reject(error));
          }
        });
        signal?.addEventListener('abort', abort, { once: true });
      }),
    emit: (draft) => {
      seq += 1;
      if (registrations.size === 0 && taps.size === 0) return;
      const event = { ...draft, seq, atMs: epochMs() } as PullEvent;
      if (registrations.size > 0) queue.push(frozenCopy(event) as PullEvent);
      for (const hear of taps) hear(event);
      // What a listener sets off is told after what it heard: otherwise `'*'` would hear the later event first.
      if (emitting) return;
      emitting = true;
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        emitter.emit(next.type, next);
        emitter.emit('*', next);
      }
      emitting = false;
    },
    tap: (hear) => {
      taps.add(hear);
      return () => taps.delete(hear);
    },
  };
  return bus;
}

function callSafely(listener: (event: PullEvent) => unknown, event: PullEvent): void {
  const failed = (error: unknown): void => logListenerFailure(event, error);
  try {
    const result = listener(event);
    if (typeof result === 'object' && result !== null) void Promise.resolve(result).catch(failed);
  } catch (error) {
    failed(error);
  }
}

/** Copied, because the puller goes on with its own lists, and the host with its own operation. */
function frozenCopy(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return Object.freeze(value.map(frozenCopy));
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.freeze(Object.fromEntries(entries.map(([key, each]) => [key, frozenCopy(each)])));
}
