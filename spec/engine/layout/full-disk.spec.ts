import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { BlobSink } from '../../../lib/engine/blob-sink.js';
import { ociLayout, type OciLayout } from '../../../lib/engine/layout/oci-layout.js';
import { requireReal } from '../../support/real-parts.js';
import { seededBlob, type SeededBlob } from './support/content.js';
import { expectValidLayout, partialNames } from './support/layout-tree.js';
import { canMount, mountSmallDisk, type SmallDisk } from '../../support/small-disk.js';

const context = { signal: new AbortController().signal, pullId: 'pull-1' };
const megabyte = 1 << 20;

describe('A layout on a disk', function () {
  this.timeout(30_000);
  requireReal('mount', 'run the specs with the right to mount a tmpfs', canMount);
  let disk: SmallDisk;
  let layout: OciLayout;

  beforeEach(() => {
    disk = mountSmallDisk(8 * megabyte);
    layout = ociLayout(join(disk.path, 'images'));
  });

  // The disk cannot be removed while anything on it is open: no failure leaves a file handle behind.
  afterEach(async () => {
    await layout.close();
    disk.remove();
  });

  async function openSink(blob: SeededBlob): Promise<BlobSink> {
    const sink = await layout.openBlob(blob, context);
    if (sink === null) throw new Error('the blob is there already');
    return sink;
  }

  async function writeAll(sink: BlobSink, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += 65_536) await sink.write(bytes.subarray(at, at + 65_536));
  }

  async function store(blob: SeededBlob): Promise<void> {
    const sink = await openSink(blob);
    await writeAll(sink, blob.bytes);
    await sink.commit();
  }

  async function codeOf(work: Promise<unknown>): Promise<unknown> {
    return work.then(
      () => 'it was fulfilled',
      (error: unknown) => (error as NodeJS.ErrnoException).code,
    );
  }

  async function freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(disk.path);
    return bavail * bsize;
  }

  it('that is full says ENOSPC, shows nothing of the blob, and gets its room back', async () => {
    await store(seededBlob(1, 2 * megabyte));
    const before = await freeBytes();
    const large = seededBlob(2, 9 * megabyte);
    const sink = await openSink(large);
    expect(await codeOf(writeAll(sink, large.bytes).then(() => sink.commit()))).to.equal('ENOSPC');
    expect(await codeOf(sink.write(new Uint8Array(1)))).to.equal('ENOSPC');
    expect(await codeOf(sink.commit())).to.equal('ENOSPC');
    await sink.release();
    expect(await layout.hasBlob(large)).to.equal(false);
    expect(await partialNames(layout.directory)).to.deep.equal([]);
    expect(await freeBytes()).to.equal(before);
    await expectValidLayout(layout.directory);
    await store(seededBlob(3, 2 * megabyte));
    await expectValidLayout(layout.directory);
  });

  it('that is full of partial blobs nobody writes gives their room to the one that is written', async () => {
    const kept = seededBlob(1, 6 * megabyte);
    const first = await openSink(kept);
    await writeAll(first, kept.bytes.subarray(0, 5 * megabyte));
    await first.release();
    await store(seededBlob(2, 6 * megabyte));
    expect(await partialNames(layout.directory)).to.deep.equal([]);
    await expectValidLayout(layout.directory);
  });

  it('that is full of partial blobs nobody writes takes a manifest and a name, too', async () => {
    const kept = seededBlob(1, 9 * megabyte);
    await layout.putBlob(seededBlob(2, 10).bytes, seededBlob(2, 10).digest);
    const first = await openSink(kept);
    await writeAll(first, kept.bytes.subarray(0, Math.floor((await freeBytes()) / 4096) * 4096));
    await first.release();
    expect(await freeBytes()).to.equal(0);
    const manifest = seededBlob(3, 100_000);
    await layout.putBlob(manifest.bytes, manifest.digest);
    await layout.nameImage('quay.io/aptible/redis:3.0', manifest);
    await expectValidLayout(layout.directory);
  });

  it('that is full does not take the bytes of a blob that another pull is writing', async () => {
    const other = seededBlob(1, 6 * megabyte);
    const writing = await openSink(other);
    await writeAll(writing, other.bytes.subarray(0, 4 * megabyte));
    const large = seededBlob(2, 6 * megabyte);
    const sink = await openSink(large);
    expect(await codeOf(writeAll(sink, large.bytes).then(() => sink.commit()))).to.equal('ENOSPC');
    await sink.release();
    await writeAll(writing, other.bytes.subarray(4 * megabyte));
    await writing.commit();
    await expectValidLayout(layout.directory);
  });

  it('that is full keeps its index as it was', async () => {
    const blob = seededBlob(1, 1000);
    await layout.putBlob(blob.bytes, blob.digest);
    await layout.nameImage('quay.io/aptible/redis:3.0', blob);
    const filler = seededBlob(2, 9 * megabyte);
    const sink = await openSink(filler);
    await codeOf(writeAll(sink, filler.bytes).then(() => sink.commit()));
    expect(await freeBytes()).to.equal(0);
    expect(await codeOf(layout.nameImage('quay.io/aptible/redis:3.1', blob))).to.equal('ENOSPC');
    expect((await layout.listImages()).map(({ name }) => name)).to.deep.equal(['quay.io/aptible/redis:3.0']);
    await sink.release();
    await layout.nameImage('quay.io/aptible/redis:3.1', blob);
    await expectValidLayout(layout.directory);
  });

  it('that has become read-only says EROFS, and what is there stays readable', async () => {
    const blob = seededBlob(1, 1000);
    await store(blob);
    await layout.nameImage('quay.io/aptible/redis:3.0', blob);
    disk.setReadOnly(true);
    try {
      expect(await codeOf(layout.openBlob(seededBlob(2, 1000), context))).to.equal('EROFS');
      expect(await codeOf(layout.putBlob(seededBlob(2, 1000).bytes, seededBlob(2, 1000).digest))).to.equal('EROFS');
      expect(await codeOf(layout.nameImage('quay.io/aptible/redis:3.1', blob))).to.equal('EROFS');
      expect(await layout.openBlob(blob, context)).to.equal(null);
      expect(await layout.readBlob(blob.digest, 1000)).to.deep.equal(Buffer.from(blob.bytes));
      expect((await layout.findImage('quay.io/aptible/redis:3.0'))?.digest).to.equal(blob.digest);
      await layout.nameImage('quay.io/aptible/redis:3.0', blob);
    } finally {
      disk.setReadOnly(false);
    }
    await store(seededBlob(2, 1000));
  });
});
