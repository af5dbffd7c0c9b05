import type { Failover } from '../vocabulary/report.js';
import type { Candidate } from './candidate.js';
import type { FailedTry } from './failed-try.js';

/** What a pull's view tells those who share one of its fetches. */
export interface SourcesListener {
  failed(failure: FailedTry): void;
  movedOver(failover: Failover): void;
  delivered(candidate: Candidate, bytes: number): void;
  wasted(candidate: Candidate, bytes: number): void;
  hedged(candidate: Candidate, how: 'won' | 'lost'): void;
  /** A connection is being used; returns what is called when it is not any more, or not listened to any more. */
  connected(candidate: Candidate): () => void;
}

/** A connection that is being used for one object, and what ends it for each who heard of it. */
interface OpenConnection {
  readonly candidate: Candidate;
  readonly ends: Map<SourcesListener, () => void>;
}

/** Those who share fetches of one pull, by the object that is fetched. */
export class ObjectListeners {
  readonly #listeners = new Map<string, Set<SourcesListener>>();
  readonly #connections = new Map<string, Set<OpenConnection>>();

  /** Hears of everything that concerns one object from now on, and of its connections now; returns what stops it. */
  listen(object: string, listener: SourcesListener): () => void {
    const listeners = this.#listeners.get(object) ?? new Set();
    this.#listeners.set(object, listeners);
    listeners.add(listener);
    for (const { candidate, ends } of this.#connections.get(object) ?? []) {
      ends.set(listener, listener.connected(candidate));
    }
    return () => {
      if (!listeners.delete(listener)) return;
      if (listeners.size === 0) this.#listeners.delete(object);
      for (const connection of this.#connections.get(object) ?? []) end(connection, listener);
    };
  }

  /** Those who listen to this object. */
  of(object: string): Iterable<SourcesListener> {
    return this.#listeners.get(object) ?? [];
  }

  /** A connection is being used for this object; returns what tells that it is not any more. */
  connected(object: string, candidate: Candidate): () => void {
    const connection: OpenConnection = { candidate, ends: new Map() };
    const connections = this.#connections.get(object) ?? new Set();
    this.#connections.set(object, connections);
    connections.add(connection);
    for (const listener of this.of(object)) connection.ends.set(listener, listener.connected(candidate));
    return () => {
      connections.delete(connection);
      if (connections.size === 0) this.#connections.delete(object);
      for (const listener of connection.ends.keys()) end(connection, listener);
    };
  }
}

function end({ ends }: OpenConnection, listener: SourcesListener): void {
  ends.get(listener)?.();
  ends.delete(listener);
}
