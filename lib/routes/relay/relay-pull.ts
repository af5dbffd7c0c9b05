import type { DockerDaemon } from '../../engine/docker/docker-daemon.js';
import { EngineFailure } from '../../engine/docker/engine-failure.js';
import type { EngineTraits } from '../../engine/docker/engine-traits.js';
import { formatPlatform } from '../../image/platform.js';
import { deriveAbort, onAbort } from '../../policy/deadline.js';
import { layersStallMs } from '../../policy/limits.js';
import type { Relay } from '../../relay/relay.js';
import type { Digest } from '../../vocabulary/digest.js';
import { crowdOf } from './daemon-crowd.js';
import { engineDeaf, extractLate } from '../extract-late.js';
import type { ImageTag } from '../image-names.js';
import type { Delivery } from '../route.js';
import { startWedgeWatch } from './wedge-watch.js';

/** One image that a daemon is to pull through a relay. */
export interface RelayPull {
  readonly engineId: string;
  readonly daemon: DockerDaemon;
  readonly traits: EngineTraits;
  readonly relay: Relay;
  readonly delivery: Delivery;
  /** The repository below the relay's address, and the tag, which no other pull uses at the same time. */
  readonly served: { readonly repository: string; readonly tag: string };
  readonly onBlob: (digest: Digest) => void;
  /** Every blob that the daemon lacks has been given to it. */
  readonly onHandedOver: () => void;
}

/** How a pull through a relay ended, where neither its caller nor the heart ended it. */
export type RelayOutcome =
  /** The daemon has the image under the relay's name. */
  | { readonly kind: 'pulled' }
  /** It did not ask for what it needs. */
  | { readonly kind: 'wedged'; readonly quietMs: number }
  | {
      readonly kind: 'failed';
      readonly failure: EngineFailure;
      /** Whether it was given wrong bytes, which the relay could not take back. */
      readonly hadWrongBytes: boolean;
      /** Whether every blob it lacks had been given to it. */
      readonly hadAll: boolean;
    };

/** What its stream is ended with when the daemon is wedged. */
class WedgedSignal extends Error {
  override readonly name = 'WedgedSignal';
  readonly quietMs: number;

  constructor(quietMs: number) {
    super('the daemon does not ask for what it needs');
    this.quietMs = quietMs;
  }
}

/** The name of the image in the daemon while it is pulled. */
export function relayTag({ relay, served }: Pick<RelayPull, 'relay' | 'served'>): ImageTag {
  return { name: `${relay.address}/${served.repository}`, tag: served.tag };
}

/**
 * Lets the daemon pull an image from the relay, once. When it settles nothing is served any more and the daemon's pull
 * has ended; an answer of ours ends before the pull it belongs to, for Docker's classic store waits for ever for one
 * that is left open.
 *
 * @throws what the heart failed with, HostFaultError when the daemon gets nowhere with what it has, or the signal's
 *   own reason
 */
export async function pullThroughRelay(pull: RelayPull): Promise<RelayOutcome> {
  const { daemon, traits, relay, delivery, served } = pull;
  const { context, tree } = delivery;
  const { limits, signal } = context;
  signal.throwIfAborted();
  const work = deriveAbort();
  let ending: { readonly reason: unknown } | null = null;
  let hadAll = false;

  const serving = relay.serve({
    ...served,
    context,
    tree,
    shared: delivery.shared,
    shareKey: delivery.shareKey,
    onBlob: (digest) => {
      pull.onBlob(digest);
      watch.delivered(digest);
    },
  });
  const end = (reason: unknown): void => {
    if (ending !== null) return;
    ending = { reason };
    watch.stop();
    void serving.stop().then(() => work.abort(reason));
  };
  const watch = startWedgeWatch({
    tree,
    store: traits.store,
    activity: serving.activity,
    crowd: crowdOf(traits.daemonId),
    // A host that waits for registries without a limit does not want to wait for ever for a daemon that asks nobody.
    stallMs: limits.layers.stallMs === Infinity ? layersStallMs : limits.layers.stallMs,
    extractStallMs: limits.extract.stallMs,
    onHandedOver: () => {
      hadAll = true;
      pull.onHandedOver();
    },
    onWedged: (quietMs) => end(new WedgedSignal(quietMs)),
    onExtractLate: () => end(extractLate(context.image, limits.extract.stallMs)),
    onDeaf: () => end(engineDeaf(pull.engineId, context.image, limits.extract.stallMs)),
  });
  const ended = (): { readonly reason: unknown } | null => ending;
  const forget = onAbort(signal, end);
  void serving.failed.then(end);

  try {
    const { name, tag } = relayTag(pull);
    const lines = daemon.pull(
      {
        name,
        object: tag,
        platform: formatPlatform(delivery.platform),
        credentials: relay.credentials,
        plainHttp: true,
      },
      work.signal,
    );
    for await (const line of lines) watch.saw(line);
    signal.throwIfAborted();
    return { kind: 'pulled' };
  } catch (error) {
    await serving.stop();
    // The daemon fails as soon as its answers end, which is before its stream is ended.
    const reason: unknown = ended()?.reason ?? error;
    if (reason instanceof WedgedSignal) return { kind: 'wedged', quietMs: reason.quietMs };
    if (!(reason instanceof EngineFailure)) throw reason;
    return { kind: 'failed', failure: reason, hadWrongBytes: serving.activity.spoiled.size > 0, hadAll };
  } finally {
    forget();
    watch.stop();
    await serving.stop();
    work[Symbol.dispose]();
  }
}
