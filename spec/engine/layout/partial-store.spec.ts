import { open as openFile, readdir, readFile, rename, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { expect } from 'chai';
import {
  createPartialStore,
  untouchedMs,
  type Partial,
  type PartialStore,
} from '../../../lib/engine/layout/partial-store.js';
import { ownOwner } from '../../../lib/files/process-owner.js';
import { seededBlob, type SeededBlob } from './support/content.js';
import { useTemporaryDirectory } from '../../support/temporary-directory.js';

const hourMs = 3_600_000;

describe('Partial blobs', () => {
  const temporary = useTemporaryDirectory();
  const claimed: Partial[] = [];

  function open(limits: { maxBytes?: number; maxAgeMs?: number } = {}): PartialStore {
    return createPartialStore(join(temporary.path, 'partial'), {
      maxBytes: limits.maxBytes ?? 1_000_000,
      maxAgeMs: limits.maxAgeMs ?? hourMs,
    });
  }

  afterEach(async () => {
    for (const { handle } of claimed.splice(0)) await handle.close();
  });

  async function claim(store: PartialStore, blob: SeededBlob): Promise<Partial> {
    const partial = await store.claim(blob.digest, blob.size);
    claimed.push(partial);
    return partial;
  }

  /** Leaves the first bytes of the blob, as a release does. */
  async function leave(store: PartialStore, blob: SeededBlob, bytes: number, agoMs = 0): Promise<void> {
    const partial = await store.create(blob.digest);
    await partial.handle.writeFile(blob.bytes.subarray(0, bytes));
    const then = new Date(Date.now() - agoMs);
    await partial.handle.utimes(then, then);
    await store.keep(partial);
  }

  /** Puts a partial there that another process writes, or wrote. */
  async function plant(blob: SeededBlob, owner: string, bytes: number, agoMs: number): Promise<string> {
    const store = open();
    const partial = await store.create(blob.digest);
    await partial.handle.close();
    const path = partial.path.replace(ownOwner(), owner);
    await rename(partial.path, path);
    await writeFile(path, blob.bytes.subarray(0, bytes));
    const then = new Date(Date.now() - agoMs);
    await utimes(path, then, then);
    return path;
  }

  async function names(): Promise<string[]> {
    return readdir(join(temporary.path, 'partial'));
  }

  const elsewhere = ownOwner().replace(/\d+$/, '4026539999');
  const gone = ownOwner().replace(/-\d+-/, '-1-');

  it('are the largest that was left, and the others go when the blob is complete', async () => {
    const store = open();
    const blob = seededBlob(1, 1000);
    const first = await store.create(blob.digest);
    const second = await store.create(blob.digest);
    await first.handle.writeFile(blob.bytes.subarray(0, 300));
    await second.handle.writeFile(blob.bytes.subarray(0, 700));
    await store.keep(first);
    await store.keep(second);
    expect((await claim(store, blob)).kept).to.equal(700);
    await store.forget(blob.digest);
    expect(await names()).to.deep.equal([basename(claimed[0]!.path)]);
  });

  it('go to one of those who want the same at the same time', async () => {
    const store = open();
    const blob = seededBlob(1, 1000);
    await leave(store, blob, 600);
    const all = await Promise.all(Array.from({ length: 8 }, () => claim(store, blob)));
    expect(all.map(({ kept }) => kept).toSorted((a, b) => b - a)).to.deep.equal([600, 0, 0, 0, 0, 0, 0, 0]);
    expect(new Set(all.map(({ path }) => path)).size).to.equal(8);
  });

  for (const [title, bytes] of [
    ['more bytes than the blob has', 1001],
    ['no bytes', 0],
  ] as const) {
    it(`with ${title} are thrown away`, async () => {
      const store = open();
      const path = await plant(seededBlob(1, 2000), gone, bytes, 0);
      const partial = await claim(store, { ...seededBlob(1, 1000), digest: seededBlob(1, 2000).digest });
      expect(partial.kept).to.equal(0);
      expect(await names()).to.not.include(basename(path));
    });
  }

  it('are removed oldest first when all together are too many bytes, those in use never', async () => {
    const store = open({ maxBytes: 1000 });
    const inUse = await claim(store, seededBlob(9, 1000));
    await inUse.handle.writeFile(seededBlob(9, 500).bytes);
    await leave(store, seededBlob(1, 1000), 200, 3000);
    await leave(store, seededBlob(2, 1000), 200, 2000);
    expect(await names()).to.have.length(3);
    await leave(store, seededBlob(3, 1000), 200, 1000);
    expect((await claim(store, seededBlob(1, 1000))).kept).to.equal(0);
    expect((await claim(store, seededBlob(2, 1000))).kept).to.equal(200);
    expect((await claim(store, seededBlob(3, 1000))).kept).to.equal(200);
    expect((await inUse.handle.stat()).nlink).to.equal(1);
  });

  it('are not kept at all with a cap of 0', async () => {
    const store = open({ maxBytes: 0 });
    await leave(store, seededBlob(1, 1000), 200);
    expect(await names()).to.deep.equal([]);
  });

  it('are all kept without a cap', async () => {
    const store = open({ maxBytes: Infinity, maxAgeMs: Infinity });
    for (const seed of [1, 2, 3]) await leave(store, seededBlob(seed, 1000), 999, 10_000 * hourMs);
    await store.sweep();
    expect(await names()).to.have.length(3);
  });

  it('that are too old are removed by a sweep, and not gone on with', async () => {
    const store = open();
    await leave(open({ maxAgeMs: Infinity }), seededBlob(1, 1000), 500, 2 * hourMs);
    await leave(open({ maxAgeMs: Infinity }), seededBlob(2, 1000), 500, 2 * hourMs);
    await leave(open({ maxAgeMs: Infinity }), seededBlob(3, 1000), 500, hourMs / 2);
    expect((await claim(store, seededBlob(1, 1000))).kept).to.equal(0);
    await store.sweep();
    expect((await claim(store, seededBlob(2, 1000))).kept).to.equal(0);
    expect((await claim(store, seededBlob(3, 1000))).kept).to.equal(500);
  });

  it('of which nothing arrived are swept once their process is gone', async () => {
    await plant(seededBlob(1, 1000), gone, 0, 0);
    await open().sweep();
    expect(await names()).to.deep.equal([]);
  });

  it('leave alone what is not theirs', async () => {
    const store = open({ maxBytes: 0, maxAgeMs: 1 });
    await claim(store, seededBlob(1, 1000));
    const foreign = ['README', 'sha256-xyz.0.kept', `sha256-${'a'.repeat(64)}.0123456789abcdef.somebody`];
    for (const name of foreign) await writeFile(join(temporary.path, 'partial', name), 'x');
    await store.sweep();
    await store.reclaim(Infinity);
    expect(await names()).to.include.members(foreign);
  });

  it('make room oldest first, no more than is asked for', async () => {
    const store = open();
    await leave(store, seededBlob(1, 1000), 300, 3000);
    await leave(store, seededBlob(2, 1000), 300, 2000);
    await leave(store, seededBlob(3, 1000), 300, 1000);
    expect(await store.reclaim(301)).to.equal(600);
    expect((await claim(store, seededBlob(3, 1000))).kept).to.equal(300);
    expect(await store.reclaim(1)).to.equal(0);
  });

  describe('of an owner that cannot be asked about', () => {
    it('are left alone while it gives signs of life', async () => {
      const blob = seededBlob(1, 1000);
      const path = await plant(blob, elsewhere, 600, untouchedMs / 2);
      const store = open({ maxBytes: 0 });
      expect((await claim(store, blob)).kept).to.equal(0);
      await store.sweep();
      expect(await readFile(path)).to.have.length(600);
    });

    it('are copied when it has given none for a while: it may still wake up and write', async () => {
      const blob = seededBlob(1, 1000);
      const path = await plant(blob, elsewhere, 600, untouchedMs + 1000);
      const sleeper = await openFile(path, 'r+');
      const partial = await claim(open(), blob);
      expect(partial.kept).to.equal(600);
      expect(await names()).to.deep.equal([basename(partial.path)]);
      await sleeper.write(Buffer.alloc(600), 0, 600, 0);
      await sleeper.close();
      expect(Buffer.compare(await readFile(partial.path), blob.bytes.subarray(0, 600))).to.equal(0);
    });

    it('stay in use through the touch of their owner', async () => {
      const store = open();
      const partial = await claim(store, seededBlob(1, 1000));
      await utimes(partial.path, new Date(0), new Date(0));
      await store.touch(partial);
      expect(Date.now() - (await stat(partial.path)).mtimeMs).to.be.below(untouchedMs);
    });
  });
});
