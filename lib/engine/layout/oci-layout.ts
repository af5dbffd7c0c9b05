import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { EngineError } from '../../errors/engine-error.js';
import { InvalidOptionError } from '../../errors/invalid-option-error.js';
import type { Descriptor } from '../../image/descriptor.js';
import { digestAlgorithm, digestOf } from '../../image/digest.js';
import { createLog } from '../../log/log.js';
import { openOptionBag } from '../../policy/option-bag.js';
import type { Digest } from '../../vocabulary/digest.js';
import type { BlobSink } from '../blob-sink.js';
import type { BlobContext, BlobStore, Engine, WantedBlob } from '../engine.js';
import type { NamedImage } from './index-document.js';
import { createLayoutBlobs } from './layout-blobs.js';
import { createLayoutIndex } from './layout-index.js';
import { createMarkerCheck, markLayout } from './layout-marker.js';
import { createOpenSinks } from './open-sinks.js';
import { createPartialStore } from './partial-store.js';
import { shareRuns } from './shared-run.js';

/** How a layout on disk is kept. */
export interface OciLayoutOptions {
  /** What events and reports call this engine; default `oci-layout:` and the directory's absolute path. */
  readonly id?: string;
  /** What blobs that were only fetched in part may take, until a later pull goes on with them. */
  readonly partials?: {
    /** All of them together, in bytes; default 10 GiB. 0 keeps none, `Infinity` is allowed. Blobs being written are never removed. */
    readonly maxBytes?: number;
    /** Since their last byte; default 7 days. `Infinity` is allowed. */
    readonly maxAgeMs?: number;
  };
}

/**
 * An OCI image layout directory as an engine: needs no daemon, is shared by any number of processes, and goes on
 * after an interruption with the bytes it has.
 *
 * Nothing is created before something is written. What other tools put there stays as it is, byte by byte.
 * A directory that holds a broken layout, or one of another version, is refused with an `EngineError` by every call
 * that writes or asks for names.
 * Errors of the file system reach the caller as Node throws them.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
 */
export interface OciLayout extends Engine, BlobStore, AsyncDisposable {
  readonly kind: 'oci-layout';
  /** Absolute. */
  readonly directory: string;
  /** The blob's bytes, verified. Null when it is not there, larger than `maxBytes`, or not what its digest says. */
  readBlob(digest: Digest, maxBytes: number): Promise<Uint8Array | null>;
  /** Stores bytes that are at hand, a manifest. @throws EngineError when they are not what the digest says */
  putBlob(bytes: Uint8Array, digest: Digest): Promise<void>;
  /** What the name points to, an index or a manifest; null when nothing has this name. */
  findImage(name: string): Promise<Descriptor | null>;
  /** Points the name to a stored index or manifest, and only this name; durable when it resolves. */
  nameImage(name: string, descriptor: Descriptor): Promise<void>;
  /** Every image the layout names, those of other tools too. */
  listImages(): Promise<readonly NamedImage[]>;
}

const log = createLog('layout');

/** Room for a few large images; what is not resumed costs disk that nobody sees. */
const defaultPartialBytes = 10 * 2 ** 30;

/** A pull that is not asked for again within a week is no longer wanted. */
const defaultPartialAgeMs = 7 * 24 * 3_600_000;

/** What directories, the marker and an index need, of a disk that is full. */
const littleBytes = 1 << 20;

/** What is ours and none of the readers' business; the specification lets readers ignore it. */
const workName = '.pull-failover';

/**
 * Opens a layout for writing and reading. Touches no disk yet.
 *
 * @param directory relative ones count from the current directory of now
 * @throws InvalidOptionError
 */
export function ociLayout(directory: string, options: OciLayoutOptions = {}): OciLayout {
  const { root, id, limits } = parseOptions(directory, options);
  const work = join(root, workName);
  const partials = createPartialStore(join(work, 'partial'), limits);
  const blobs = createLayoutBlobs(id, root, partials);
  const sinks = createOpenSinks(id, blobs, partials);
  const index = createLayoutIndex({ engine: id, directory: root, workDirectory: work });
  const isMarked = shareRuns(createMarkerCheck(id, root));
  const underWay = new Set<Promise<unknown>>();
  let indexChecked = false;
  let closing: Promise<void> | null = null;

  /** Makes the layout where there is none, on every use: it may be removed while this process lives. */
  const prepare = shareRuns(async (): Promise<void> => {
    if (!(await isMarked())) await markLayout(root);
    await mkdir(work, { recursive: true });
    await index.create();
    if (indexChecked) return;
    // Before gigabytes are fetched for an index that will not take them.
    await index.list();
    indexChecked = true;
  });

  /** Writes, unless the layout is closed; closing waits for the end. */
  async function writing<T>(write: () => Promise<T>): Promise<T> {
    if (closing !== null) throw new EngineError(id, 'the layout is closed');
    const work = write();
    underWay.add(work);
    try {
      return await work;
    } finally {
      underWay.delete(work);
    }
  }

  async function reading<T>(absent: T, read: () => Promise<T>): Promise<T> {
    return (await isMarked()) ? read() : absent;
  }

  async function openBlob(wanted: WantedBlob, { signal, pullId }: BlobContext): Promise<BlobSink | null> {
    signal.throwIfAborted();
    await partials.withRoom(littleBytes, prepare);
    if (await blobs.has(wanted)) return null;
    return partials.withRoom(wanted.size, () => sinks.open(wanted, pullId));
  }

  async function close(): Promise<void> {
    await Promise.allSettled(underWay);
    await sinks.close();
    await index.settled();
  }

  const layout: OciLayout = {
    id,
    kind: 'oci-layout',
    address: root,
    directory: root,
    hasBlob: (blob) => blobs.has(blob),
    readBlob: (digest, maxBytes) => blobs.read(digest, maxBytes),
    streamBlob: (digest, from) => blobs.stream(digest, from),
    openBlob: (wanted, context) => writing(() => openBlob(wanted, context)),
    putBlob: (bytes, digest) =>
      writing(async () => {
        if (digestOf(bytes, digestAlgorithm(digest)) !== digest) {
          throw new EngineError(id, `the ${bytes.length} bytes given are not ${digest}`);
        }
        if ((await isMarked()) && (await blobs.holds({ digest, size: bytes.length }))) return;
        await partials.withRoom(bytes.length + littleBytes, async () => {
          await prepare();
          await blobs.put(bytes, digest);
        });
      }),
    findImage: (name) => reading<Descriptor | null>(null, () => index.find(name)),
    nameImage: (name, descriptor) =>
      writing(async () => {
        // Most pulls find their name where it belongs: a thousand of them must not queue for a lock.
        if ((await isMarked()) && (await index.points(name, descriptor))) return;
        await partials.withRoom(littleBytes, async () => {
          await prepare();
          await index.point(name, descriptor);
        });
        log(null, 'image named', { name, digest: descriptor.digest, engine: id });
      }),
    listImages: () => reading<readonly NamedImage[]>([], () => index.list()),
    close: () => (closing ??= close()),
    [Symbol.asyncDispose]: () => layout.close(),
  };
  return layout;
}

/** Tells whether a value is an OCI layout engine, also one of another installed copy of this library. */
export function isOciLayout(value: unknown): value is OciLayout {
  if (typeof value !== 'object' || value === null || !('kind' in value) || value.kind !== 'oci-layout') return false;
  return layoutMethods.every((name) => typeof (value as Readonly<Record<string, unknown>>)[name] === 'function');
}

const layoutMethods = [
  'hasBlob',
  'readBlob',
  'openBlob',
  'streamBlob',
  'putBlob',
  'findImage',
  'nameImage',
  'listImages',
  'close',
];

function parseOptions(directory: unknown, options: unknown) {
  if (typeof directory !== 'string' || directory === '' || directory.includes('\0')) {
    throw new InvalidOptionError('directory', 'must be the path of a directory');
  }
  const root = resolve(directory);
  const bag = openOptionBag('', options, ['id', 'partials']);
  const partials = bag.bag('partials', ['maxBytes', 'maxAgeMs']);
  return {
    root,
    id: bag.string('id') ?? `oci-layout:${root}`,
    limits: {
      maxBytes: partials.integer('maxBytes', { min: 0, infinity: true }) ?? defaultPartialBytes,
      maxAgeMs: partials.durationMs('maxAgeMs', { infinity: true }) ?? defaultPartialAgeMs,
    },
  };
}
