import { dockerParts, type DockerEngine } from '../../engine/docker/docker-engine.js';
import type { EngineFault } from '../../engine/docker/engine-error-table.js';
import { EngineFailure, hostErrorOf } from '../../engine/docker/engine-failure.js';
import { UnsupportedImageError } from '../../errors/unsupported-image-error.js';
import type { Descriptor } from '../../image/descriptor.js';
import { createLog } from '../../log/log.js';
import type { Digest } from '../../vocabulary/digest.js';
import { readBlob } from './blob-spool.js';
import { rememberGiven } from './given-blobs.js';
import { canonicalTagOf, type ImageTag, textOfTag } from '../image-names.js';
import { readDiffIds } from './load-layers.js';
import { createLoadPace, type LoadPace } from './load-pace.js';
import { type ArchivePlan, findWholeImage, fullArchive, type LoadSubject, planArchive } from './load-plan.js';
import type { Delivered, Delivery, RouteRun } from '../route.js';
import { type ArchiveLoad, sendArchive } from './send-archive.js';

const log = createLog('layers');

/** A config is read into memory, for the layers it names; the largest known have some hundred kilobytes. */
const maxConfigBytes = 8 * 1024 * 1024;

/** Failures that have nothing to do with what an archive lacks. */
const ownFaults: ReadonlySet<EngineFault> = new Set(['disk', 'daemon', 'unreachable', 'caller']);

/** All loads into one engine share its cap. */
const paces: WeakMap<DockerEngine, LoadPace> = new WeakMap();

/**
 * Brings an image into an engine as an archive that is made while it is sent: every blob through the heart, on disk
 * until it is verified, three of them at most. What the engine is known to have is left out, and nothing is sent where
 * it has the whole image. Nothing gets the image's name before the engine has all of it.
 *
 * May be started where another route gave up, with the same delivery.
 */
export function startLoadRoute(engine: DockerEngine, delivery: Delivery): RouteRun {
  let bringing: Promise<Delivered> | null = null;
  return {
    layers: async () => {
      let onHandedOver = (): void => {};
      const handedOver = new Promise<void>((resolve) => {
        onHandedOver = resolve;
      });
      bringing = bring(engine, delivery, onHandedOver);
      // Asked about in `extract`, when it fails after the bytes were handed over.
      bringing.catch(() => {});
      await Promise.race([handedOver, bringing]);
    },
    extract: async () => {
      if (bringing === null) throw new Error('the layers come first');
      return bringing;
    },
  };
}

async function bring(engine: DockerEngine, delivery: Delivery, onHandedOver: () => void): Promise<Delivered> {
  const { comeback, context } = delivery;
  const { image, signal } = context;
  const told = new Set<Digest>();
  const interimNames = new Set<ImageTag>();
  const deliver = (): Promise<Delivered> =>
    bringOnce(engine, delivery, {
      onHandedOver,
      interimNames,
      // After a restart blobs are sent again.
      onBlob: (blob) => {
        if (told.has(blob.digest)) return;
        told.add(blob.digest);
        delivery.onBlob(blob);
      },
    });
  try {
    const delivered = await comeback.evenIfAway(signal, deliver);
    await dropInterimNames(engine, delivery, interimNames);
    return delivered;
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof EngineFailure ? hostErrorOf(error, engine.id, image) : error;
  }
}

/**
 * An engine that went away may have kept an interim name; only now it can be asked again. The image is there under its own
 * name: one that stays beside it is no reason to fail, and is swept when this process has ended.
 */
async function dropInterimNames(
  engine: DockerEngine,
  { context: { signal, pullId } }: Delivery,
  names: Iterable<ImageTag>,
): Promise<void> {
  for (const name of names) {
    try {
      await dockerParts(engine).daemon.untag(textOfTag(name), signal);
    } catch (error) {
      signal.throwIfAborted();
      log(pullId, 'an interim name stays until this process has ended', { name: textOfTag(name), why: String(error) });
    }
  }
}

async function bringOnce(
  engine: DockerEngine,
  delivery: Delivery,
  on: Pick<ArchiveLoad, 'onBlob' | 'onHandedOver' | 'interimNames'>,
): Promise<Delivered> {
  const { daemon, maxLoadBytesPerSecond } = dockerParts(engine);
  const { context, tree, platform } = delivery;
  const { signal, pullId } = context;
  const target = canonicalTagOf(delivery.reference);
  let config: Promise<Uint8Array> | null = null;
  const subject: LoadSubject = {
    daemon,
    traits: await daemon.traits({ signal }),
    tree,
    platform,
    readConfig: () => (config ??= readConfig(delivery)),
    signal,
  };
  const delivered = (imageId: string): Delivered => ({ imageId, reference: textOfTag(target), route: 'load' });

  const whole = await findWholeImage(subject);
  if (whole !== null) {
    log(pullId, 'the engine has all of this image', { engine: engine.id });
    for (const blob of [tree.config, ...tree.layers]) on.onBlob(blob);
    on.onHandedOver();
    const named = await daemon.inspect(textOfTag(target), signal);
    if (named?.id !== whole.id) await daemon.tag(whole.id, target, signal);
    return delivered(whole.id);
  }

  const pace = paces.get(engine) ?? createLoadPace(maxLoadBytesPerSecond);
  paces.set(engine, pace);
  const load = { ...on, engineId: engine.id, subject, delivery, pace, target };
  const imageId = await sendPartThenAll(load, await planArchive(subject));
  if (subject.traits.store === 'containerd') {
    await confirmUnpacked(load);
    rememberGiven(daemon, imageId, tree, readDiffIds(await subject.readConfig()) ?? []);
  }
  return delivered(imageId);
}

/**
 * Where a load or pull of the same layers was cut off a moment ago, Docker takes them for unpacked which containerd is
 * about to collect, and the image cannot be run (seen with 26.1.5). By the time the first archive has got its name they
 * are collected; the same one without its layers has what is missing unpacked, and costs next to nothing otherwise.
 */
async function confirmUnpacked(load: Omit<ArchiveLoad, 'plan'>): Promise<void> {
  const { tree } = load.subject;
  await sendPartThenAll(load, { root: tree.root, omitted: new Set(tree.layers.map(({ digest }) => digest)) });
}

/** An engine that refuses an archive from which something was left out gets all of it: an image may be gone by now. */
async function sendPartThenAll(load: Omit<ArchiveLoad, 'plan'>, plan: ArchivePlan): Promise<string> {
  try {
    return await sendArchive({ ...load, plan });
  } catch (error) {
    const rest = fullArchive(load.subject, plan);
    if (rest === null || !(error instanceof EngineFailure) || ownFaults.has(error.fault)) throw error;
    log(load.delivery.context.pullId, 'the engine did not take what was left of the archive, so all is sent', {
      engine: load.engineId,
      said: error.text,
    });
    return sendArchive({ ...load, plan: rest });
  }
}

async function readConfig({ context, tree, shared, shareKey }: Delivery): Promise<Uint8Array> {
  const { config } = tree;
  if (config.size > maxConfigBytes) throw tooLarge(context.image, config);
  return readBlob(context.image, config, (store) => shared.fetch(context, { blob: config, key: shareKey, store }));
}

function tooLarge(image: string, { digest, size }: Descriptor): UnsupportedImageError {
  const message = `${image}: its config ${digest} has ${size} bytes, more than ${maxConfigBytes}`;
  return new UnsupportedImageError(image, 'too-large', message);
}
