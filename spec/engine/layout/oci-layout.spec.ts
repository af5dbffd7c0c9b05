import { createHook } from 'node:async_hooks';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, readlink, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { expect } from 'chai';
import type { BlobSink } from '../../../lib/engine/blob-sink.js';
import { replaceTimeSource } from '../../../lib/clock/time.js';
import { isOciLayout, ociLayout, type OciLayout } from '../../../lib/engine/layout/oci-layout.js';
import { isEngineError } from '../../../lib/errors/engine-error.js';
import { InvalidOptionError } from '../../../lib/errors/invalid-option-error.js';
import { digestHex, digestOf } from '../../../lib/image/digest.js';
import type { Digest } from '../../../lib/vocabulary/digest.js';
import { seededBlob, type SeededBlob } from './support/content.js';
import { expectValidLayout, partialNames, visibleFiles } from './support/layout-tree.js';
import { useTemporaryDirectory } from '../../support/temporary-directory.js';
import { failureOf } from '../../support/failure-of.js';

const never = new AbortController().signal;
const context = { signal: never, pullId: 'pull-1' };

async function openSink(layout: OciLayout, blob: SeededBlob): Promise<BlobSink> {
  const sink = await layout.openBlob(blob, context);
  if (sink === null) throw new Error('the blob is there already');
  return sink;
}

async function store(layout: OciLayout, blob: SeededBlob): Promise<void> {
  const sink = await openSink(layout, blob);
  await sink.write(blob.bytes.subarray(sink.kept));
  await sink.commit();
}

async function keptBytes(sink: BlobSink): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of sink.readKept()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The files below a directory that this process has open, where the system tells. */
async function openFiles(directory: string): Promise<string[]> {
  const numbers = await readdir('/proc/self/fd').catch(() => []);
  const paths = await Promise.all(numbers.map((number) => readlink(`/proc/self/fd/${number}`).catch(() => '')));
  return paths.filter((path) => path.startsWith(directory));
}

/** How many files are opened while some work is done. */
async function filesOpened(work: () => Promise<unknown>): Promise<number> {
  let opened = 0;
  const hook = createHook({
    init: (_id, type) => {
      if (type === 'FILEHANDLE') opened += 1;
    },
  }).enable();
  try {
    await work();
  } finally {
    hook.disable();
  }
  return opened;
}

describe('An OCI layout', () => {
  const temporary = useTemporaryDirectory();
  const opened: OciLayout[] = [];

  function open(directory: string = join(temporary.path, 'images'), options = {}): OciLayout {
    const layout = ociLayout(directory, options);
    opened.push(layout);
    return layout;
  }

  afterEach(async () => {
    for (const layout of opened.splice(0)) await layout.close();
    expect(await openFiles(temporary.path), 'files left open').to.deep.equal([]);
  });

  describe('its options', () => {
    const cases: readonly (readonly [title: string, directory: unknown, options: object, option: string])[] = [
      ['no directory', '', {}, 'directory'],
      ['a directory that is no text', 7, {}, 'directory'],
      ['a directory no file system can name', 'a\0b', {}, 'directory'],
      ['an unknown key', 'images', { dir: 'x' }, 'dir'],
      ['an empty id', 'images', { id: '' }, 'id'],
      ['an unknown key of partials', 'images', { partials: { max: 1 } }, 'partials.max'],
      ['a negative cap', 'images', { partials: { maxBytes: -1 } }, 'partials.maxBytes'],
      ['a broken number of bytes', 'images', { partials: { maxBytes: 1.5 } }, 'partials.maxBytes'],
      ['an age of 0', 'images', { partials: { maxAgeMs: 0 } }, 'partials.maxAgeMs'],
    ];
    for (const [title, directory, options, option] of cases) {
      it(`refuse ${title} by name`, () => {
        const make = (): unknown => ociLayout(directory as string, options);
        expect(make).to.throw(InvalidOptionError).with.property('option', option);
      });
    }

    it('are taken: an id, no limit, and no partials at all', () => {
      const layout = open(temporary.path, { id: 'host-17', partials: { maxBytes: 0, maxAgeMs: Infinity } });
      expect(layout).to.include({ id: 'host-17', kind: 'oci-layout', directory: temporary.path });
    });

    it('name the engine by its absolute directory when no id is given', () => {
      const directory = join(temporary.path, 'images');
      expect(open(relative(process.cwd(), directory)).id).to.equal(`oci-layout:${directory}`);
    });
  });

  describe('that does not exist yet', () => {
    it('answers questions and stays uncreated', async () => {
      const layout = open();
      const blob = seededBlob(1, 10);
      expect(await layout.hasBlob(blob)).to.equal(false);
      expect(await layout.readBlob(blob.digest, 100)).to.equal(null);
      expect(await layout.findImage('quay.io/aptible/redis:3.0')).to.equal(null);
      expect(await layout.listImages()).to.deep.equal([]);
      expect(existsSync(layout.directory)).to.equal(false);
    });

    it('is made with its parents when the first blob is opened, and is valid at once', async () => {
      const layout = open(join(temporary.path, 'deep', 'down', 'images'));
      const sink = await openSink(layout, seededBlob(1, 10));
      await expectValidLayout(layout.directory);
      await sink.release();
    });

    it('is made again when it was removed meanwhile', async () => {
      const layout = open();
      await store(layout, seededBlob(1, 10));
      await rm(layout.directory, { recursive: true });
      await store(layout, seededBlob(2, 10));
      await expectValidLayout(layout.directory);
    });
  });

  describe('a blob', () => {
    for (const size of [0, 1, 65_536, 1 << 20, 3_000_001]) {
      it(`of ${size} bytes is there, whole and under its digest, once it is committed and not before`, async () => {
        const layout = open();
        const blob = seededBlob(size, size);
        const sink = await openSink(layout, blob);
        await sink.write(blob.bytes);
        expect(await visibleFiles(layout.directory)).to.deep.equal(['index.json', 'oci-layout']);
        expect(await layout.hasBlob(blob)).to.equal(false);
        await sink.commit();
        expect(await layout.hasBlob(blob)).to.equal(true);
        expect(await layout.readBlob(blob.digest, size)).to.deep.equal(Buffer.from(blob.bytes));
        expect(await partialNames(layout.directory)).to.deep.equal([]);
        await expectValidLayout(layout.directory);
      });
    }

    it('arrives the same in whatever chunks it comes, empty ones too', async () => {
      const layout = open();
      const blob = seededBlob(3, 2_500_000);
      const sink = await openSink(layout, blob);
      let at = 0;
      for (let step = 0; at < blob.size; step += 1) {
        const end = Math.min(at + [1, 0, 7, 65_536, 1_048_577][step % 5]!, blob.size);
        await sink.write(blob.bytes.subarray(at, end));
        at = end;
      }
      await sink.commit();
      await expectValidLayout(layout.directory);
    });

    it('with a sha512 digest has its own directory', async () => {
      const layout = open();
      const { bytes, size, mediaType } = seededBlob(4, 100);
      const digest = digestOf(bytes, 'sha512');
      await store(layout, { bytes, size, mediaType, digest });
      expect(await visibleFiles(layout.directory)).to.include(`blobs/sha512/${digestHex(digest)}`);
      await expectValidLayout(layout.directory);
    });

    it('that is there is not opened again', async () => {
      const layout = open();
      await store(layout, seededBlob(1, 10));
      expect(await layout.openBlob(seededBlob(1, 10), context)).to.equal(null);
    });

    it('that was cut short counts as missing, and is replaced', async () => {
      const layout = open();
      const blob = seededBlob(1, 1000);
      await store(layout, blob);
      await truncate(join(layout.directory, 'blobs', 'sha256', digestHex(blob.digest)), 999);
      expect(await layout.hasBlob(blob)).to.equal(false);
      await store(layout, blob);
      await expectValidLayout(layout.directory);
    });

    it('that was found to hold other bytes counts as missing from then on, until it is replaced', async () => {
      const layout = open();
      const blob = seededBlob(1, 1000);
      await store(layout, blob);
      await writeFile(join(layout.directory, 'blobs', 'sha256', digestHex(blob.digest)), Buffer.alloc(1000));
      expect(await layout.readBlob(blob.digest, 1000)).to.equal(null);
      expect(await layout.hasBlob(blob)).to.equal(false);
      await store(layout, blob);
      expect(await layout.hasBlob(blob)).to.equal(true);
      await expectValidLayout(layout.directory);
    });

    it('is not read when it is larger than the reader allows', async () => {
      const layout = open();
      const blob = seededBlob(1, 1000);
      await store(layout, blob);
      expect(await layout.readBlob(blob.digest, 999)).to.equal(null);
    });

    for (const from of [0, 1, 1_500_000, 2_999_999, 3_000_000]) {
      it(`is streamed from byte ${from} of 3,000,000`, async () => {
        const layout = open();
        const blob = seededBlob(1, 3_000_000);
        await store(layout, blob);
        const chunks: Uint8Array[] = [];
        for await (const chunk of layout.streamBlob(blob.digest, from)) {
          expect(chunk.length).to.be.within(1, 1 << 20);
          chunks.push(chunk);
        }
        expect(Buffer.compare(Buffer.concat(chunks), blob.bytes.subarray(from))).to.equal(0);
      });
    }

    it('that is not there is not streamed', async () => {
      const stream = open().streamBlob(seededBlob(1, 10).digest, 0);
      expect(await failureOf(stream[Symbol.asyncIterator]().next())).to.satisfy(isEngineError);
    });

    it('is not committed with fewer bytes than it has, and goes on afterwards', async () => {
      const layout = open();
      const blob = seededBlob(1, 1000);
      const sink = await openSink(layout, blob);
      await sink.write(blob.bytes.subarray(0, 999));
      expect(await failureOf(sink.commit())).to.satisfy(isEngineError);
      await sink.write(blob.bytes.subarray(999));
      await sink.commit();
      await expectValidLayout(layout.directory);
    });

    it('is not written beyond its size', async () => {
      const layout = open();
      const sink = await openSink(layout, seededBlob(1, 1000));
      expect(await failureOf(sink.write(new Uint8Array(1001)))).to.satisfy(isEngineError);
      await sink.release();
    });

    it('begins at its first byte again after a restart', async () => {
      const layout = open();
      const blob = seededBlob(1, 2_000_000);
      const first = await openSink(layout, blob);
      await first.write(new Uint8Array(1_500_000));
      await first.release();
      const sink = await openSink(layout, blob);
      expect(sink.kept).to.equal(1_500_000);
      await sink.write(new Uint8Array(10));
      await sink.restart();
      expect(sink.kept).to.equal(0);
      expect(await keptBytes(sink)).to.have.length(0);
      await sink.write(blob.bytes);
      await sink.commit();
      await expectValidLayout(layout.directory);
    });

    for (const when of ['written', 'half written'] as const) {
      it(`is stored although its partial file was taken away when it was ${when}`, async () => {
        const layout = open();
        const blob = seededBlob(1, 2_500_000);
        const sink = await openSink(layout, blob);
        await sink.write(blob.bytes.subarray(0, 1_300_000));
        if (when === 'written') await sink.write(blob.bytes.subarray(1_300_000));
        await rm(join(layout.directory, '.pull-failover', 'partial'), { recursive: true });
        if (when === 'half written') await sink.write(blob.bytes.subarray(1_300_000));
        await sink.commit();
        await expectValidLayout(layout.directory);
        expect(await layout.hasBlob(blob)).to.equal(true);
      });
    }

    it('of which the kept bytes were cut short by somebody else says so', async () => {
      const layout = open();
      const blob = seededBlob(1, 2000);
      const first = await openSink(layout, blob);
      await first.write(blob.bytes.subarray(0, 1500));
      await first.release();
      const sink = await openSink(layout, blob);
      const [name] = await partialNames(layout.directory);
      await truncate(join(layout.directory, '.pull-failover', 'partial', name!), 1000);
      expect(await failureOf(keptBytes(sink))).to.satisfy(isEngineError);
      await sink.restart();
      await sink.write(blob.bytes);
      await sink.commit();
      await expectValidLayout(layout.directory);
    });

    it('that was committed elsewhere meanwhile stays as it is', async () => {
      const [one, other] = [open(), open()];
      const blob = seededBlob(1, 2000);
      const sinks = [await openSink(one, blob), await openSink(other, blob)];
      await Promise.all(
        sinks.map(async (sink) => {
          await sink.write(blob.bytes);
          await sink.commit();
        }),
      );
      await expectValidLayout(one.directory);
      expect(await partialNames(one.directory)).to.deep.equal([]);
    });

    it('is not touched through a finished sink', async () => {
      const layout = open();
      const blob = seededBlob(1, 10);
      const sink = await openSink(layout, blob);
      await sink.write(blob.bytes);
      await sink.commit();
      expect(await failureOf(sink.write(new Uint8Array(1)))).to.satisfy(isEngineError);
      expect(await failureOf(sink.restart())).to.satisfy(isEngineError);
      expect(await failureOf(sink.commit())).to.satisfy(isEngineError);
      await sink.release();
      await sink.release();
      await expectValidLayout(layout.directory);
    });
  });

  describe('an interrupted blob', () => {
    for (const offset of [1, 500_000, 1_048_576, 1_999_999, 2_000_000]) {
      it(`is gone on with at byte ${offset} of 2,000,000`, async () => {
        const layout = open();
        const blob = seededBlob(1, 2_000_000);
        const first = await openSink(layout, blob);
        await first.write(blob.bytes.subarray(0, offset));
        await first.release();
        await first.release();
        const sink = await openSink(layout, blob);
        expect(sink.kept).to.equal(offset);
        expect(Buffer.compare(await keptBytes(sink), blob.bytes.subarray(0, offset))).to.equal(0);
        await sink.write(blob.bytes.subarray(offset));
        await sink.commit();
        await expectValidLayout(layout.directory);
        expect(await partialNames(layout.directory)).to.deep.equal([]);
      });
    }

    it('of which nothing arrived leaves nothing', async () => {
      const layout = open();
      const sink = await openSink(layout, seededBlob(1, 1000));
      await sink.release();
      expect(await partialNames(layout.directory)).to.deep.equal([]);
    });

    it('is read in chunks of at most 1 MiB', async () => {
      const layout = open();
      const blob = seededBlob(1, 2_500_000);
      const first = await openSink(layout, blob);
      await first.write(blob.bytes);
      await first.release();
      const sink = await openSink(layout, blob);
      const sizes: number[] = [];
      for await (const chunk of sink.readKept()) sizes.push(chunk.length);
      expect(sizes).to.deep.equal([1_048_576, 1_048_576, 402_848]);
      await sink.release();
    });

    it('is never waited for: a second writer in this process has a place of its own, and the first to commit wins', async () => {
      const layout = open();
      const blob = seededBlob(1, 1000);
      const slow = await openSink(layout, blob);
      await slow.write(blob.bytes.subarray(0, 600));
      const fast = await openSink(layout, blob);
      expect(fast.kept).to.equal(0);
      await fast.write(blob.bytes);
      await fast.commit();
      expect(await layout.openBlob(blob, context)).to.equal(null);
      await slow.write(blob.bytes.subarray(600));
      await slow.commit();
      expect(await layout.readBlob(blob.digest, 1000)).to.deep.equal(Buffer.from(blob.bytes));
      expect(await partialNames(layout.directory)).to.deep.equal([]);
    });

    it('is gone on with by one writer only', async () => {
      const layout = open();
      const blob = seededBlob(1, 1000);
      const first = await openSink(layout, blob);
      await first.write(blob.bytes.subarray(0, 600));
      await first.release();
      const both = await Promise.all([openSink(layout, blob), openSink(layout, blob)]);
      expect(both.map(({ kept }) => kept).toSorted((x, y) => x - y)).to.deep.equal([0, 600]);
      for (const sink of both) await sink.release();
    });

    it('is not opened for a signal that is aborted already, and its own reason is thrown', async () => {
      const layout = open();
      const aborted = { signal: AbortSignal.abort('enough'), pullId: 'pull-2' };
      expect(await failureOf(layout.openBlob(seededBlob(1, 1000), aborted))).to.equal('enough');
    });
  });

  describe('bytes at hand', () => {
    it('are stored under their digest, as often as one likes', async () => {
      const layout = open();
      const { bytes, digest } = seededBlob(1, 1000);
      await Promise.all([layout.putBlob(bytes, digest), layout.putBlob(bytes, digest)]);
      await layout.putBlob(bytes, digest);
      expect(await layout.readBlob(digest, 1000)).to.deep.equal(Buffer.from(bytes));
      await expectValidLayout(layout.directory);
    });

    describe('that have lain there for a while', () => {
      let restoreTime = (): void => {};
      beforeEach(() => {
        restoreTime = replaceTimeSource({
          monotonicMs: () => performance.now(),
          epochMs: () => Date.now() + 60_000,
        });
      });
      afterEach(() => restoreTime());

      it('are read from the disk once, however often they are asked for or stored again', async () => {
        const { bytes, digest } = seededBlob(1, 1000);
        await open().putBlob(bytes, digest);
        const layout = open();
        expect(await filesOpened(() => layout.putBlob(bytes, digest)), 'it and the marker').to.equal(2);
        expect(await filesOpened(() => layout.readBlob(digest, 1000))).to.equal(0);
        expect(await filesOpened(() => layout.putBlob(bytes, digest))).to.equal(0);
        expect(await layout.readBlob(digest, 999)).to.equal(null);
      });

      it('are not read at all by who has written them, and stay what they were, whatever becomes of the bytes given', async () => {
        const layout = open();
        const { bytes, digest } = seededBlob(1, 1000);
        const given = Buffer.from(bytes);
        await layout.putBlob(given, digest);
        given.fill(0);
        let read: Uint8Array | null = null;
        const opened = await filesOpened(async () => {
          read = await layout.readBlob(digest, 1000);
        });
        expect(read).to.deep.equal(Buffer.from(bytes));
        expect(opened).to.equal(0);
      });

      it('are given to each reader as they are on the disk, whatever another one did to its own', async () => {
        const layout = open();
        const { bytes, digest } = seededBlob(1, 1000);
        await layout.putBlob(bytes, digest);
        for (let reader = 0; reader < 3; reader += 1) {
          const read = await layout.readBlob(digest, 1000);
          expect(read).to.deep.equal(Buffer.from(bytes));
          read?.fill(0);
        }
      });

      it('are read again when their file has changed', async () => {
        const layout = open();
        const { bytes, digest } = seededBlob(1, 1000);
        await layout.putBlob(bytes, digest);
        await layout.readBlob(digest, 1000);
        await writeFile(join(layout.directory, 'blobs', 'sha256', digestHex(digest)), Buffer.alloc(1000));
        expect(await layout.readBlob(digest, 1000)).to.equal(null);
        await layout.putBlob(bytes, digest);
        expect(await layout.readBlob(digest, 1000)).to.deep.equal(Buffer.from(bytes));
      });

      it('are not written any more when the marker has changed to another version meanwhile', async () => {
        const layout = open();
        const { bytes, digest } = seededBlob(1, 1000);
        await layout.putBlob(bytes, digest);
        await layout.putBlob(bytes, digest);
        await writeFile(join(layout.directory, 'oci-layout'), '{"imageLayoutVersion":"2.0.0"}');
        expect(await failureOf(layout.putBlob(bytes, digest))).to.satisfy(isEngineError);
      });

      it('are missing when their file is gone', async () => {
        const layout = open();
        const { bytes, digest } = seededBlob(1, 1000);
        await layout.putBlob(bytes, digest);
        await layout.readBlob(digest, 1000);
        await rm(join(layout.directory, 'blobs', 'sha256', digestHex(digest)));
        expect(await layout.readBlob(digest, 1000)).to.equal(null);
      });
    });

    it('are read once for all who ask at the same time', async () => {
      const { bytes, digest } = seededBlob(1, 1000);
      await open().putBlob(bytes, digest);
      const layout = open();
      const readers = Array.from({ length: 100 }, () => () => layout.readBlob(digest, 1000));
      const opened = await filesOpened(async () => Promise.all(readers.map((read) => read())));
      expect(opened).to.be.within(1, 3);
    });

    it('are refused under another digest', async () => {
      const layout = open();
      const error = await failureOf(layout.putBlob(seededBlob(1, 10).bytes, seededBlob(2, 10).digest));
      expect(error).to.satisfy(isEngineError);
      expect(existsSync(layout.directory)).to.equal(false);
    });

    it('replace a blob of the same size that holds other bytes', async () => {
      const layout = open();
      const { bytes, digest } = seededBlob(1, 1000);
      await layout.putBlob(bytes, digest);
      await writeFile(join(layout.directory, 'blobs', 'sha256', digestHex(digest)), Buffer.alloc(1000));
      await layout.putBlob(bytes, digest);
      await expectValidLayout(layout.directory);
    });
  });

  describe('a directory that is something else', () => {
    const cases = [
      ['a marker that is not JSON', { 'oci-layout': '{' }],
      ['a marker that is not an object', { 'oci-layout': '["1.0.0"]' }],
      ['a marker without a version', { 'oci-layout': '{}' }],
      ['another version', { 'oci-layout': '{"imageLayoutVersion":"2.0.0"}' }],
      ['an index without a marker', { 'index.json': '{"schemaVersion":2,"manifests":[]}' }],
      ['an index that is not JSON', { 'oci-layout': '{"imageLayoutVersion":"1.0.0"}', 'index.json': '{"sch' }],
      ['an empty index', { 'oci-layout': '{"imageLayoutVersion":"1.0.0"}', 'index.json': '' }],
      ['an index that is a list', { 'oci-layout': '{"imageLayoutVersion":"1.0.0"}', 'index.json': '[]' }],
      [
        'an index of schema 3',
        { 'oci-layout': '{"imageLayoutVersion":"1.0.0"}', 'index.json': '{"schemaVersion":3,"manifests":[]}' },
      ],
      [
        'an index of another media type',
        { 'oci-layout': '{"imageLayoutVersion":"1.0.0"}', 'index.json': '{"schemaVersion":2,"mediaType":"text/x"}' },
      ],
      [
        'manifests that are no list',
        { 'oci-layout': '{"imageLayoutVersion":"1.0.0"}', 'index.json': '{"schemaVersion":2,"manifests":{}}' },
      ],
    ] as const;
    for (const [title, files] of cases) {
      it(`is refused and left as it is: ${title}`, async () => {
        const layout = open();
        await mkdir(layout.directory);
        for (const [name, text] of Object.entries(files)) await writeFile(join(layout.directory, name), text);
        const blob = seededBlob(1, 10);
        const { bytes, ...descriptor } = blob;
        for (const work of [
          () => layout.openBlob(blob, context),
          () => layout.putBlob(bytes, blob.digest),
          () => layout.nameImage('quay.io/aptible/redis:3.0', descriptor),
          () => layout.findImage('quay.io/aptible/redis:3.0'),
          () => layout.listImages(),
        ]) {
          expect(await failureOf(work())).to.satisfy(isEngineError);
        }
        for (const [name, text] of Object.entries(files)) {
          expect(await readFile(join(layout.directory, name), 'utf8')).to.equal(text);
        }
        expect(await visibleFiles(layout.directory)).to.deep.equal(Object.keys(files).toSorted());
      });
    }

    it('is used beside files that are nobody’s business', async () => {
      const layout = open();
      await mkdir(layout.directory);
      await writeFile(join(layout.directory, 'manifest.json'), '[]');
      await store(layout, seededBlob(1, 10));
      expect(await readFile(join(layout.directory, 'manifest.json'), 'utf8')).to.equal('[]');
    });

    it('tells what the file system told when it is a file', async () => {
      const directory = join(temporary.path, 'file');
      await writeFile(directory, '');
      const error = await failureOf(open(directory).openBlob(seededBlob(1, 10), context));
      expect(error).to.have.property('code').that.is.oneOf(['ENOTDIR', 'EEXIST']);
    });
  });

  describe('closing', () => {
    it('keeps what was written, refuses what comes later, and can be asked twice', async () => {
      const layout = open();
      const blob = seededBlob(1, 1000);
      const sink = await openSink(layout, blob);
      await sink.write(blob.bytes.subarray(0, 300));
      await Promise.all([layout.close(), layout.close()]);
      expect(await failureOf(sink.write(new Uint8Array(1)))).to.satisfy(isEngineError);
      expect(await failureOf(layout.openBlob(blob, context))).to.satisfy(isEngineError);
      expect(await failureOf(layout.putBlob(blob.bytes, blob.digest))).to.satisfy(isEngineError);
      const again = await openSink(open(), blob);
      expect(again.kept).to.equal(300);
      await again.release();
    });

    it('waits for a commit and for the index', async () => {
      const layout = open();
      const blob = seededBlob(1, 1000);
      const { bytes, ...descriptor } = blob;
      const sink = await openSink(layout, blob);
      await sink.write(bytes);
      const naming = layout.nameImage('quay.io/aptible/redis:3.0', descriptor);
      const committing = sink.commit();
      await layout.close();
      await committing;
      await naming;
      expect(await open().findImage('quay.io/aptible/redis:3.0')).to.include(descriptor);
      await expectValidLayout(layout.directory);
    });

    it('comes with the end of an `await using`', async () => {
      const layout = open();
      {
        await using scoped = layout;
        await store(scoped, seededBlob(1, 10));
      }
      expect(await failureOf(layout.openBlob(seededBlob(2, 10), context))).to.satisfy(isEngineError);
    });
  });

  it('is left by no digest that is a path, neither reading nor writing', async () => {
    const outside = join(temporary.path, 'outside');
    await writeFile(outside, 'secret');
    const layout = open();
    const digest = 'sha256:../../../outside' as Digest;
    const elsewhere = { ...seededBlob(1, 3), digest: 'sha256:../../../elsewhere' as Digest };
    const tries = [
      layout.hasBlob({ digest, size: 6 }),
      layout.readBlob(digest, 6),
      layout.streamBlob(digest, 0)[Symbol.asyncIterator]().next(),
      layout.openBlob(elsewhere, context),
      layout.openBlob({ ...elsewhere, digest: 'sha256:' as Digest }, context),
    ];
    for (const one of tries) expect(await failureOf(one)).to.satisfy(isEngineError);
    expect(await readdir(temporary.path)).to.have.members(['images', 'outside']);
    expect(await partialNames(layout.directory)).to.deep.equal([]);
  });
  it('is recognised among other values, another installed copy of it too', () => {
    const layout = open();
    expect(isOciLayout(layout)).to.equal(true);
    expect(isOciLayout({ ...layout })).to.equal(true);
    for (const other of [null, undefined, 'oci-layout', {}, { kind: 'oci-layout' }, { ...layout, kind: 'docker' }]) {
      expect(isOciLayout(other)).to.equal(false);
    }
  });

  it('writes through no link that was planted among its partial blobs', async () => {
    const layout = open();
    const blob = seededBlob(1, 1000);
    const victim = join(temporary.path, 'victim');
    await writeFile(victim, 'precious');
    const first = await openSink(layout, blob);
    await first.write(blob.bytes.subarray(0, 500));
    await first.release();
    const partials = join(layout.directory, '.pull-failover', 'partial');
    const [name] = await readdir(partials);
    await rm(join(partials, name!));
    await symlink(victim, join(partials, name!));
    const sink = await openSink(layout, blob);
    expect(sink.kept).to.equal(0);
    await sink.write(blob.bytes);
    await sink.commit();
    expect(await readFile(victim, 'utf8')).to.equal('precious');
    await expectValidLayout(layout.directory);
  });
});
