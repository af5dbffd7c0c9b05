import { dockerArchive } from '../../engine/docker/docker-archive.js';
import { EngineFailure } from '../../engine/docker/engine-failure.js';
import type { BlobStore } from '../../engine/engine.js';
import { ociArchive } from '../../engine/docker/oci-archive.js';
import type { EngineProgress } from '../../engine/docker/progress-stream.js';
import type { Descriptor } from '../../image/descriptor.js';
import type { Digest } from '../../vocabulary/digest.js';
import { BlobFeed } from './blob-feed.js';
import { extractLate } from '../extract-late.js';
import { HandOver } from './hand-over.js';
import { type ImageTag, moveName, textOfTag } from '../image-names.js';
import { loadName, takeBack } from './load-names.js';
import type { LoadPace } from './load-pace.js';
import type { ArchivePlan, LoadSubject } from './load-plan.js';
import type { Delivery } from '../route.js';

/** One archive on its way. */
export interface ArchiveLoad {
  readonly engineId: string;
  readonly subject: LoadSubject;
  readonly delivery: Delivery;
  readonly plan: ArchivePlan;
  readonly pace: LoadPace;
  /** What the image is called in the end. */
  readonly target: ImageTag;
  /** Called for each blob that was handed over, or is there. */
  readonly onBlob: (blob: Descriptor) => void;
  /** Called when the engine has taken the last byte. */
  readonly onHandedOver: () => void;
  /** Names that the engine may have given, until they were taken away. */
  readonly interimNames: Set<ImageTag>;
}

/**
 * Sends one archive, and names the image when the engine has it. Returns the engine's identifier of it.
 *
 * @throws EngineFailure, EngineError, HostFaultError, what the heart does, or the signal's own reason; in every case
 *   nothing is named that was not before
 */
export async function sendArchive(load: ArchiveLoad): Promise<string> {
  const { engineId, subject, delivery, plan, target } = load;
  const { daemon, traits, tree, signal } = subject;
  const { image, limits, outliving } = delivery.context;
  const { stallMs } = limits.extract;
  const name = loadName();
  const config = await subject.readConfig();
  let hasEnded = false;

  await using feed = feedOf(load);
  using handOver = new HandOver(archiveOf(load, textOfTag(name), config, feed), {
    signal,
    pace: load.pace,
    stallMs,
    late: () => extractLate(image, stallMs),
    onEnd: () => {
      hasEnded = true;
      load.onHandedOver();
    },
    onLeft: () => feed.stop(new Error('the engine takes no more of the archive')),
  });
  for (const blob of [tree.config, ...tree.layers]) {
    if (plan.omitted.has(blob.digest)) load.onBlob(blob);
  }
  feed.start();
  try {
    load.interimNames.add(name);
    await follow(daemon.load(handOver, handOver.signal), handOver);
    const id = await moveName({ daemon, engineId, store: traits.store, tree, from: name, to: target, signal });
    load.interimNames.delete(name);
    return id;
  } catch (error) {
    const wasAnswered = error instanceof EngineFailure && !error.isLost;
    const mayStillCome = traits.store === 'graph' && !wasAnswered;
    if (hasEnded) await takeBack({ daemon, name, mayStillCome, ending: outliving });
    throw error;
  }
}

function feedOf({ subject, delivery, plan, onBlob }: ArchiveLoad): BlobFeed {
  const { context, shared, shareKey } = delivery;
  const layers = new Map(subject.tree.layers.map((layer): [Digest, Descriptor] => [layer.digest, layer]));
  return new BlobFeed({
    image: context.image,
    blobs: [...layers.values()].filter(({ digest }) => !plan.omitted.has(digest)),
    signal: subject.signal,
    fetch: (blob: Descriptor, store: BlobStore, signal: AbortSignal) =>
      shared.fetch({ ...context, signal }, { blob, key: shareKey, store }),
    onRead: onBlob,
  });
}

function archiveOf(
  { subject, plan, onBlob }: ArchiveLoad,
  name: string,
  config: Uint8Array,
  feed: BlobFeed,
): AsyncIterable<Uint8Array> {
  const { tree, traits } = subject;
  const { omitted } = plan;
  const layers = tree.layers.map((layer) => feed.archived(layer));
  if (traits.store === 'graph') {
    onBlob(tree.config);
    return dockerArchive({ name, config, layers, omitted });
  }
  const from = tree.documents.indexOf(plan.root);
  return ociArchive({
    name,
    root: plan.root,
    documents: tree.documents.slice(from),
    config: {
      digest: tree.config.digest,
      size: config.length,
      read: async function* read() {
        yield config;
        onBlob(tree.config);
      },
    },
    layers,
    omitted,
  });
}

/** Reads what the engine says to its end. Only what is new is progress: some repeat themselves while they hang. */
async function follow(said: AsyncIterable<EngineProgress>, handOver: HandOver): Promise<void> {
  let last = '';
  for await (const progress of said) {
    const line = JSON.stringify(progress);
    if (line !== last) handOver.progressed();
    last = line;
  }
}
