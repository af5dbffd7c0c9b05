import { dockerParts, type DockerEngine } from '../../engine/docker/docker-engine.js';
import { EngineFailure, hostErrorOf } from '../../engine/docker/engine-failure.js';
import { ownOwner } from '../../files/process-owner.js';
import type { Descriptor } from '../../image/descriptor.js';
import { createLog } from '../../log/log.js';
import { sleep, withDeadline } from '../../policy/deadline.js';
import { relayName } from '../../relay/relay-name.js';
import type { Relay } from '../../relay/relay.js';
import type { Digest } from '../../vocabulary/digest.js';
import type { Reason } from '../../vocabulary/reason.js';
import { canonicalTagOf, moveName, textOfTag, type ImageTag } from '../image-names.js';
import { createKeyedMutex } from '../keyed-mutex.js';
import { takeLateNameAway } from '../late-names.js';
import { startLoadRoute } from '../load/load.js';
import { whatFollows } from './relay-failure.js';
import { pullThroughRelay, relayTag, type RelayPull } from './relay-pull.js';
import type { Delivered, Delivery, RouteRun } from '../route.js';

/** What another pull has left half done is out of the way by then: containerd collects it 100 ms after it starts. */
const againAfterMs = 250;

/** How long a pull that has failed waits for a daemon to take a name back. */
const untagMs = 1_000;

/**
 * A daemon can give an image its name some time after its pull was ended, the more so one that hung: it is looked for
 * again after so long.
 */
const lateNamesMs: readonly number[] = [1_000, 3_000, 8_000, 20_000, 60_000];

const log = createLog('pull');

/** Two pulls under one name would take it away from each other. */
const names = createKeyedMutex();

/**
 * Brings an image into a daemon that pulls it from our relay, and so keeps its own cache of layers. When the daemon
 * turns out to be wedged, or to hold wrong bytes, the pull goes on by `load`, and `onRouteChanged` says why.
 *
 * @throws from `layers` and `extract`: what the heart fails with, HostFaultError, EngineError, UnsupportedImageError,
 *   or the signal's own reason
 */
export function startRelayRoute(engine: DockerEngine, relay: Relay, delivery: Delivery): RouteRun {
  let handOver = (): void => {};
  const handedOver = new Promise<void>((resolve) => {
    handOver = resolve;
  });
  let work: Promise<Delivered> | null = null;
  const start = (): Promise<Delivered> => {
    if (work !== null) return work;
    work = carry(engine, relay, { ...delivery, onBlob: oncePerBlob(delivery.onBlob) }, handOver);
    // Between the two steps nobody waits for it.
    work.catch(() => {});
    return work;
  };
  return {
    layers: async () => {
      await Promise.race([handedOver, start()]);
    },
    extract: start,
  };
}

/** What was brought by one route and again by the next is told once. */
function oncePerBlob(onBlob: (blob: Descriptor) => void): (blob: Descriptor) => void {
  const told = new Set<Digest>();
  return (blob) => {
    if (told.has(blob.digest)) return;
    told.add(blob.digest);
    onBlob(blob);
  };
}

async function carry(engine: DockerEngine, relay: Relay, delivery: Delivery, handOver: () => void): Promise<Delivered> {
  const { reference, tree, context, comeback } = delivery;
  const { daemon } = dockerParts(engine);
  const to = canonicalTagOf(reference);
  const blobs = [tree.config, ...tree.layers];
  const tellBlobs = (wanted: (digest: Digest) => boolean): void => {
    for (const blob of blobs) if (wanted(blob.digest)) delivery.onBlob(blob);
  };
  try {
    const pull: RelayPull = {
      engineId: engine.id,
      daemon,
      traits: await comeback.evenIfAway(context.signal, () => daemon.traits({ signal: context.signal })),
      relay,
      delivery,
      served: { repository: relayName(reference, ownOwner(), relay.address).repository, tag: to.tag },
      onBlob: (given) => tellBlobs((digest) => digest === given),
      onHandedOver: () => {
        tellBlobs(() => true);
        handOver();
      },
    };
    const brought = await bringByRelay(pull, to);
    if ('imageId' in brought) return { imageId: brought.imageId, reference: textOfTag(to), route: 'relay' };

    log(context.pullId, brought.reason.message, { from: 'relay', to: 'load' });
    delivery.onRouteChanged({ from: 'relay', to: 'load', reason: brought.reason });
    const load = startLoadRoute(engine, delivery);
    await load.layers();
    handOver();
    return await load.extract();
  } catch (error) {
    context.signal.throwIfAborted();
    throw error instanceof EngineFailure ? hostErrorOf(error, engine.id, reference.canonical) : error;
  }
}

/** The image under its own name, or why it has to be loaded. */
type Brought = { readonly imageId: string } | { readonly reason: Reason };

async function bringByRelay(pull: RelayPull, to: ImageTag): Promise<Brought> {
  const { engineId, daemon, traits, delivery } = pull;
  const { comeback, context } = delivery;
  const { signal } = context;
  const from = relayTag(pull);
  const key = `${traits.daemonId} ${textOfTag(from)}`;
  const release = await names.acquire(key, signal);
  const takeAwayLater = (): void =>
    takeLateNameAway({ names, key, afterMs: lateNamesMs, takeAway: () => takeNameAway(pull, from) });
  let hadAll = false;
  const onHandedOver = (): void => {
    hadAll = true;
    pull.onHandedOver();
  };
  try {
    const reason = await pullOrReason({ ...pull, onHandedOver });
    if (reason !== null) {
      // A daemon that hung may have had all it lacked in that very moment.
      takeAwayLater();
      return { reason };
    }
    onHandedOver();
    const naming = { daemon, engineId, store: traits.store, tree: delivery.tree, from, to, signal };
    return { imageId: await comeback.evenIfAway(signal, () => moveName(naming)) };
  } catch (error) {
    // Without all bytes it gets no name; how far a daemon has come that was left behind is not known.
    if (hadAll) await takeNameAway(pull, from);
    if (hadAll || signal.aborted) takeAwayLater();
    throw error;
  } finally {
    release();
  }
}

/** Null when the daemon has the image under the relay's name, else why it will not get it this way. */
async function pullOrReason(pull: RelayPull): Promise<Reason | null> {
  const { comeback, context } = pull.delivery;
  for (let mayRepeat = true; ;) {
    const outcome = await pullThroughRelay(pull);
    if (outcome.kind === 'pulled') return null;
    const next = whatFollows(outcome, pull.engineId, mayRepeat);
    switch (next.kind) {
      case 'load':
        return next.reason;
      case 'stop':
        throw next.failure;
      case 'again':
        log(context.pullId, 'asking the engine once more', { failure: next.failure.message });
        mayRepeat = false;
        await sleep(againAfterMs, context.signal);
        break;
      case 'away':
        await comeback.wait(next.failure, context.signal);
    }
  }
}

/** A pull that has failed leaves no name behind; that it cannot be taken away is not why it failed. */
async function takeNameAway({ daemon, delivery: { context } }: RelayPull, name: ImageTag): Promise<void> {
  try {
    const expired = (): Error => new Error(`it took longer than ${untagMs} ms`);
    await withDeadline({ ms: untagMs, expired }, (signal) => daemon.untag(textOfTag(name), signal));
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    log(context.pullId, 'a name was left in the engine', { name: textOfTag(name), problem });
  }
}
