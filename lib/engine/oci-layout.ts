import { mkdir, open, rename, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { EngineError } from '../errors/engine-error.js';
import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { digestAlgorithm, digestHex, digestOf } from '../image/digest.js';
import type { Descriptor } from '../image/descriptor.js';
import { createLog } from '../log/log.js';
import { openOptionBag } from '../policy/option-bag.js';
import type { Digest } from '../vocabulary/digest.js';
import type { BlobSink } from './blob-sink.js';
import { syncDirectory } from './durable-file.js';
import type { BlobStore, Engine, WantedBlob } from './engine.js';
import { unlessMissing } from './file-error.js';
import type { NamedImage } from './index-document.js';
import { createLayoutBlobSink, type LayoutBlobSink } from './layout-blob-sink.js';
import { createLayoutIndex } from './layout-index.js';
import { isLayout, markLayout } from './layout-marker.js';
import { createPartialStore, touchEveryMs } from './partial-store.js';
import { readChunks } from './read-chunks.js';
import { createTurns } from './turns.js';

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
 * A directory that holds a broken layout, or one of another version, is refused with an `EngineError` by every call.
 * Errors of the file system reach the caller as Node throws them.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
 */
export interface OciLayout extends Engine, BlobStore, AsyncDisposable {
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
  const index = createLayoutIndex({ engine: id, directory: root, workDirectory: work });
  const turns = createTurns();
  const sinks = new Set<LayoutBlobSink>();
  /** Blobs found to hold other bytes than their digest says: not there, until they are written again. */
  const corrupt = new Set<Digest>();
  let heartbeat: NodeJS.Timeout | null = null;
  let indexChecked = false;
  let closing: Promise<void> | null = null;

  const blobPath = (digest: Digest): string => join(root, 'blobs', digestAlgorithm(digest), digestHex(digest));

  function assertOpen(): void {
    if (closing !== null) throw new EngineError(id, 'the layout is closed');
  }

  /** Makes the layout where there is none, on every use: it may be removed while this process lives. */
  async function prepare(): Promise<void> {
    if (!(await isLayout(id, root))) await markLayout(root);
    await mkdir(work, { recursive: true });
    await index.create();
    if (indexChecked) return;
    // Before gigabytes are fetched for an index that will not take them.
    await index.list();
    indexChecked = true;
  }

  async function hasBlob({ digest, size }: Pick<Descriptor, 'digest' | 'size'>): Promise<boolean> {
    if (corrupt.has(digest)) return false;
    const found = await unlessMissing(stat(blobPath(digest)));
    return found !== null && found.isFile() && found.size === size;
  }

  async function readBlob(digest: Digest, maxBytes: number): Promise<Uint8Array | null> {
    const handle = await unlessMissing(open(blobPath(digest), 'r'));
    if (handle === null) return null;
    try {
      const found = await handle.stat();
      if (!found.isFile() || found.size > maxBytes) return null;
      const bytes = await handle.readFile();
      if (digestOf(bytes, digestAlgorithm(digest)) === digest) return bytes;
      corrupt.add(digest);
      log(null, 'blob does not hold what its digest says', { digest, engine: id });
      return null;
    } finally {
      await handle.close();
    }
  }

  async function* streamBlob(digest: Digest, from: number): AsyncGenerator<Uint8Array> {
    const handle = await unlessMissing(open(blobPath(digest), 'r'));
    if (handle === null) throw new EngineError(id, `${digest} is not there`);
    try {
      yield* readChunks(handle, from, Infinity);
    } finally {
      await handle.close();
    }
  }

  /** Only while something is being written is there anything to tell. */
  function beat(): void {
    for (const sink of sinks) partials.touch(sink.partial).catch(() => {});
  }

  async function openSink(wanted: WantedBlob, pullId: string, giveBack: () => void): Promise<BlobSink> {
    const partial = await partials.claim(wanted.digest, wanted.size);
    const sink = createLayoutBlobSink(partial, {
      engine: id,
      sizeBytes: wanted.size,
      target: blobPath(wanted.digest),
      partials,
      isThere: () => hasBlob(wanted),
      onCommitted: () => {
        corrupt.delete(wanted.digest);
        log(pullId, 'blob stored', { digest: wanted.digest, size: wanted.size });
      },
      onReleased: (outcome) => {
        log(pullId, 'blob let go', { digest: wanted.digest, ...outcome });
      },
      onFinished: () => {
        sinks.delete(sink);
        if (sinks.size === 0 && heartbeat !== null) {
          clearInterval(heartbeat);
          heartbeat = null;
        }
        giveBack();
      },
    });
    sinks.add(sink);
    log(pullId, 'blob opened', { digest: wanted.digest, kept: partial.kept });
    heartbeat ??= setInterval(beat, touchEveryMs).unref();
    if (closing !== null) {
      await sink.release();
      assertOpen();
    }
    return sink;
  }

  async function putBlob(bytes: Uint8Array, digest: Digest): Promise<void> {
    assertOpen();
    if (digestOf(bytes, digestAlgorithm(digest)) !== digest) {
      throw new EngineError(id, `the ${bytes.length} bytes given are not ${digest}`);
    }
    await prepare();
    if ((await readBlob(digest, bytes.length)) !== null) return;
    const path = blobPath(digest);
    const partial = await partials.create(digest);
    try {
      await partial.handle.writeFile(bytes);
      await partial.handle.datasync();
      await mkdir(dirname(path), { recursive: true });
      await rename(partial.path, path);
    } catch (error) {
      await partials.discard(partial).catch(() => {});
      throw error;
    }
    await partial.handle.close();
    await syncDirectory(dirname(path));
    corrupt.delete(digest);
  }

  async function close(): Promise<void> {
    turns.close(new EngineError(id, 'the layout is closed'));
    await Promise.all([...sinks].map((sink) => sink.release()));
    await index.settled();
  }

  const layout: OciLayout = {
    id,
    kind: 'oci-layout',
    directory: root,
    hasBlob: async (descriptor) => (await isLayout(id, root)) && hasBlob(descriptor),
    readBlob: async (digest, maxBytes) => ((await isLayout(id, root)) ? readBlob(digest, maxBytes) : null),
    openBlob: async (wanted, { signal, pullId }) => {
      assertOpen();
      signal.throwIfAborted();
      await prepare();
      const giveBack = await turns.take(wanted.digest, signal);
      try {
        if (await hasBlob(wanted)) {
          giveBack();
          return null;
        }
        return await openSink(wanted, pullId, giveBack);
      } catch (error) {
        giveBack();
        throw error;
      }
    },
    streamBlob,
    putBlob,
    findImage: async (name) => ((await isLayout(id, root)) ? index.find(name) : null),
    nameImage: async (name, descriptor) => {
      assertOpen();
      await prepare();
      await index.point(name, descriptor);
      log(null, 'image named', { name, digest: descriptor.digest, engine: id });
    },
    listImages: async () => ((await isLayout(id, root)) ? index.list() : []),
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
