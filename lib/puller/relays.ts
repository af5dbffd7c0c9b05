import { dockerParts, type DockerEngine } from '../engine/docker/docker-engine.js';
import type { Relay } from '../relay/relay.js';
import { startRelay } from '../relay/start-relay.js';

/** A relay, and how many pullers of this process pull through it. */
interface SharedRelay {
  readonly relay: Promise<Relay>;
  users: number;
}

/** Several pullers may serve one engine, but only one can listen on the port that its host has published. */
const sharedRelays = new WeakMap<DockerEngine, SharedRelay>();

/** The relays that one puller pulls through, one per engine, each started when it is first needed. */
export class Relays {
  readonly #used = new Map<DockerEngine, SharedRelay>();
  #isClosed = false;

  /** Rejects when it cannot listen; the next call tries again. */
  async of(engine: DockerEngine): Promise<Relay> {
    if (this.#isClosed) throw new Error('the relays are closed');
    const used = this.#used.get(engine);
    if (used !== undefined) return used.relay;
    const shared = sharedRelays.get(engine) ?? this.#start(engine);
    shared.users += 1;
    this.#used.set(engine, shared);
    try {
      return await shared.relay;
    } catch (error) {
      if (this.#used.get(engine) === shared) this.#used.delete(engine);
      throw error;
    }
  }

  /** Ends those that no other puller uses. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const used = [...this.#used];
    this.#used.clear();
    await Promise.all(used.map(([engine, shared]) => leave(engine, shared)));
  }

  #start(engine: DockerEngine): SharedRelay {
    const { relay: options } = dockerParts(engine);
    const shared: SharedRelay = { relay: startRelay(options), users: 0 };
    sharedRelays.set(engine, shared);
    shared.relay.catch(() => {
      if (sharedRelays.get(engine) === shared) sharedRelays.delete(engine);
    });
    return shared;
  }
}

async function leave(engine: DockerEngine, shared: SharedRelay): Promise<void> {
  shared.users -= 1;
  if (shared.users > 0) return;
  if (sharedRelays.get(engine) === shared) sharedRelays.delete(engine);
  const relay = await shared.relay.catch(() => null);
  await relay?.close();
}
