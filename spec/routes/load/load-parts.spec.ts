import { readdirSync } from 'node:fs';
import { expect } from 'chai';
import type { BlobSink } from '../../../lib/engine/blob-sink.js';
import type { Descriptor } from '../../../lib/image/descriptor.js';
import { digestOf } from '../../../lib/image/digest.js';
import { BlobFeed } from '../../../lib/routes/load/blob-feed.js';
import { BlobSpool, openUnlinked } from '../../../lib/routes/load/blob-spool.js';
import { HandOver, type HandOverOptions } from '../../../lib/routes/load/hand-over.js';
import { textOfTag } from '../../../lib/routes/image-names.js';
import { readDiffIds } from '../../../lib/routes/load/load-layers.js';
import { loadName } from '../../../lib/routes/load/load-names.js';
import { createLoadPace } from '../../../lib/routes/load/load-pace.js';
import { parseRelayName } from '../../../lib/relay/relay-name.js';
import { ownOwner } from '../../../lib/files/process-owner.js';
import { failureOf } from '../../support/failure-of.js';
import { useTemporaryDirectory } from '../../support/temporary-directory.js';
import { until } from '../../support/until.js';

const never = new AbortController().signal;

function descriptorOf(bytes: Uint8Array): Descriptor {
  return { mediaType: 'application/octet-stream', digest: digestOf(bytes), size: bytes.length };
}

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

describe('a spool', () => {
  const directory = useTemporaryDirectory();
  const bytes = Buffer.from('the bytes of a blob');
  const blob = descriptorOf(bytes);

  async function sinkIn(spool: BlobSpool, wanted: Descriptor = blob): Promise<BlobSink> {
    const sink = await spool.openBlob(wanted);
    if (sink === null) throw new Error('it is there');
    return sink;
  }

  it('gives a blob back when it is whole, from any byte, and no sooner', async () => {
    await using spool = new BlobSpool(directory.path);
    const sink = await sinkIn(spool);
    await sink.write(bytes);
    expect(await spool.hasBlob(blob)).to.equal(false);
    expect(await failureOf(bytesOf(spool.streamBlob(blob.digest, 0)))).to.be.an.instanceOf(Error);
    await sink.commit();
    await sink.release();
    expect(await spool.hasBlob(blob)).to.equal(true);
    expect(await spool.openBlob(blob)).to.equal(null);
    for (const from of [0, 1, 7, bytes.length - 1, bytes.length]) {
      expect(await bytesOf(spool.streamBlob(blob.digest, from))).to.deep.equal(bytes.subarray(from));
    }
  });

  it('forgets what was written when it starts again', async () => {
    await using spool = new BlobSpool(directory.path);
    const sink = await sinkIn(spool);
    await sink.write(Buffer.alloc(1_000, 'x'));
    await sink.restart();
    await sink.write(bytes);
    await sink.commit();
    expect(await bytesOf(spool.streamBlob(blob.digest, 0))).to.deep.equal(bytes);
  });

  it('has no file with a name, and gives the room of each blob back once', async () => {
    const spool = new BlobSpool(directory.path);
    const [one, other] = [descriptorOf(Buffer.from('one')), descriptorOf(Buffer.from('other'))];
    const sinks = [await sinkIn(spool, one), await sinkIn(spool, other), await sinkIn(spool)];
    expect(readdirSync(directory.path)).to.deep.equal([]);
    expect(spool.files).to.equal(3);
    await sinks[0]!.commit();
    await sinks[0]!.release();
    await sinks[1]!.release();
    await sinks[1]!.release();
    expect(spool.files).to.equal(2);
    await spool.discard(one.digest);
    await spool.discard(one.digest);
    expect(spool.files).to.equal(1);
    await sinks[2]!.commit();
    await spool[Symbol.asyncDispose]();
    expect(spool.files).to.equal(0);
  });

  it('has a file whose name is gone at once where the system knows none without a name', async () => {
    const handle = await openUnlinked(directory.path);
    expect(readdirSync(directory.path)).to.deep.equal([]);
    await handle.write(bytes, 0, bytes.length, 0);
    expect((await handle.read(Buffer.alloc(100), 0, 100, 0)).bytesRead).to.equal(bytes.length);
    await handle.close();
  });

  it('says what the disk said where its folder is not to be had', async () => {
    const spool = new BlobSpool(`${directory.path}/nowhere`);
    expect(await failureOf(spool.openBlob(blob))).to.include({ code: 'ENOENT' });
  });
});

describe('a feed', () => {
  const directory = useTemporaryDirectory();
  const contents = Array.from({ length: 7 }, (_, index) => Buffer.alloc(100_000, `blob ${index}`));
  const blobs = contents.map(descriptorOf);

  /** A feed whose blobs come when they are let. */
  function rig(options: { readonly fails?: number } = {}): {
    readonly feed: BlobFeed;
    readonly spool: BlobSpool;
    readonly asked: readonly number[];
    readonly read: readonly number[];
    readonly abort: AbortController;
  } {
    const spool = new BlobSpool(directory.path);
    const abort = new AbortController();
    const asked: number[] = [];
    const read: number[] = [];
    const feed = new BlobFeed({
      image: 'registry.example/team/app:1',
      blobs,
      signal: abort.signal,
      spool,
      fetch: async (blob, store, signal) => {
        const index = blobs.indexOf(blob);
        asked.push(index);
        const sink = await store.openBlob(blob, { signal, pullId: 'pull-1' });
        try {
          if (index === options.fails) throw new Error(`blob ${index} cannot be had`);
          signal.throwIfAborted();
          await sink?.write(contents[index]!);
          await sink?.commit();
        } finally {
          await sink?.release();
        }
      },
      onRead: (blob) => read.push(blobs.indexOf(blob)),
    });
    return { feed, spool, asked, read, abort };
  }

  it('fetches two blobs ahead of the one that is read, in order, and never more', async () => {
    const { feed, spool, asked, read } = rig();
    feed.start();
    for (const [index, blob] of blobs.entries()) {
      await until(() => asked.length === Math.min(index + 3, blobs.length), 'two ahead are asked for');
      expect(spool.files).to.be.at.most(3);
      expect(await bytesOf(feed.archived(blob).read())).to.deep.equal(contents[index]);
      expect(read).to.have.length(index + 1);
    }
    expect(asked).to.deep.equal(blobs.map((_, index) => index));
    expect(spool.files).to.equal(0);
    await feed[Symbol.asyncDispose]();
  });

  it('fails at the blob that cannot be had, when its turn comes', async () => {
    const { feed, spool } = rig({ fails: 1 });
    feed.start();
    expect(await bytesOf(feed.archived(blobs[0]!).read())).to.deep.equal(contents[0]);
    expect(await failureOf(bytesOf(feed.archived(blobs[1]!).read()))).to.include({ message: 'blob 1 cannot be had' });
    await feed[Symbol.asyncDispose]();
    expect(spool.files).to.equal(0);
  });

  it('that is stopped gives its reader the reason, and every file back', async () => {
    const { feed, spool, abort } = rig();
    feed.start();
    const reader = feed.archived(blobs[0]!).read()[Symbol.asyncIterator]();
    await reader.next();
    const reason = { a: 'reason' };
    abort.abort(reason);
    expect(await failureOf(reader.next())).to.equal(reason);
    await feed[Symbol.asyncDispose]();
    expect(spool.files).to.equal(0);
  });
});

describe('an archive on its way', () => {
  interface Watched {
    readonly handOver: HandOver;
    readonly told: readonly string[];
  }

  function handOver(archive: AsyncIterable<Uint8Array>, options: Partial<HandOverOptions> = {}): Watched {
    const told: string[] = [];
    return {
      told,
      handOver: new HandOver(archive, {
        signal: never,
        pace: createLoadPace(Infinity),
        stallMs: 60_000,
        late: () => new Error('late'),
        onEnd: () => told.push('end'),
        onLeft: () => told.push('left'),
        ...options,
      }),
    };
  }

  async function* twoChunks(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('one ');
    yield Buffer.from('two');
  }

  /** Settles with what the signal is aborted with. */
  const endOf = ({ signal }: HandOver): Promise<unknown> =>
    new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve(signal.reason), { once: true });
    });

  it('gives all bytes and tells the end once', async () => {
    const { handOver: given, told } = handOver(twoChunks());
    expect(String(await bytesOf(given))).to.equal('one two');
    expect(await given.next()).to.deep.equal({ done: true, value: undefined });
    given[Symbol.dispose]();
    expect(told).to.deep.equal(['end']);
  });

  it('ends with the error of the archive', async () => {
    const failure = new Error('the heart gave up');
    const { handOver: given, told } = handOver(
      (async function* failing() {
        yield Buffer.from('one');
        throw failure;
      })(),
    );
    expect(await failureOf(bytesOf(given))).to.equal(failure);
    expect(given.signal.reason).to.equal(failure);
    given[Symbol.dispose]();
    expect(told).to.deep.equal([]);
  });

  it('lets its reader go at once, also while it waits for bytes that never come', async () => {
    const { handOver: given, told } = handOver({
      [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
    });
    void given.next();
    expect(await given.return()).to.deep.equal({ done: true, value: undefined });
    await given.return();
    expect(told).to.deep.equal(['left']);
    expect(given.signal.aborted).to.equal(false);
    given[Symbol.dispose]();
  });

  it('is late when its reader takes nothing, but not while the reader waits', async () => {
    const slow = handOver(
      (async function* slow() {
        await new Promise((resolve) => setTimeout(resolve, 400));
        yield Buffer.from('one');
        await new Promise((resolve) => setTimeout(resolve, 400));
        yield Buffer.from('two');
      })(),
      { stallMs: 200 },
    );
    const ended = endOf(slow.handOver);
    await slow.handOver.next();
    await slow.handOver.next();
    expect(slow.handOver.signal.aborted).to.equal(false);
    expect(await ended).to.include({ message: 'late' });
    slow.handOver[Symbol.dispose]();
  });

  it('is late when the engine says nothing new after the last byte', async () => {
    const { handOver: given } = handOver(twoChunks(), { stallMs: 300 });
    const ended = endOf(given);
    await bytesOf(given);
    const startMs = performance.now();
    for (let step = 0; step < 5; step += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      given.progressed();
    }
    expect(await ended).to.include({ message: 'late' });
    expect(performance.now() - startMs).to.be.above(700);
    given[Symbol.dispose]();
  });

  it('follows the signal of its pull', async () => {
    const abort = new AbortController();
    const { handOver: given } = handOver(twoChunks(), { signal: abort.signal });
    const ended = endOf(given);
    const reason = { a: 'reason' };
    abort.abort(reason);
    expect(await ended).to.equal(reason);
    given[Symbol.dispose]();
  });
});

describe('the pace of loads', () => {
  it('is that of the cap, for all loads of an engine together', async () => {
    const bytesPerSecond = 200_000;
    const pace = createLoadPace(bytesPerSecond);
    let sent = 0;
    const startMs = performance.now();
    /** The most that was ever sent beyond what the cap allows until then. */
    let ahead = 0;
    const load = async (): Promise<void> => {
      for (const piece of pace.pieces(Buffer.alloc(100_000))) {
        await pace.take(piece.length, never);
        sent += piece.length;
        ahead = Math.max(ahead, sent - ((performance.now() - startMs) / 1000) * bytesPerSecond);
      }
    };
    await Promise.all([load(), load()]);
    const tookMs = performance.now() - startMs;
    expect(sent).to.equal(200_000);
    // A piece is 50 ms worth of bytes, and the last one is not waited for.
    expect(ahead).to.be.below(2.5 * 0.05 * bytesPerSecond);
    expect(tookMs).to.be.within(850, 3_000);
  });

  it('saves nothing up while nobody sends', async () => {
    const pace = createLoadPace(100_000);
    await pace.take(1_000, never);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const startMs = performance.now();
    for (let piece = 0; piece < 6; piece += 1) await pace.take(5_000, never);
    expect(performance.now() - startMs).to.be.above(200);
  });

  it('stops with the reason of the signal', async () => {
    const pace = createLoadPace(1_000);
    const abort = new AbortController();
    await pace.take(1_000_000, abort.signal);
    const waiting = failureOf(pace.take(1, abort.signal));
    const reason = { a: 'reason' };
    abort.abort(reason);
    expect(await waiting).to.equal(reason);
  });

  it('costs nothing without a cap', () => {
    const pace = createLoadPace(Infinity);
    const chunk = Buffer.alloc(1_000_000);
    expect([...pace.pieces(chunk)]).to.deep.equal([chunk]);
  });
});

describe('the name of a load', () => {
  it('is that of no other load, and tells whose it is, but not what it is for', () => {
    const names = Array.from({ length: 100 }, () => textOfTag(loadName()));
    expect(new Set(names).size).to.equal(100);
    for (const name of names) {
      expect(parseRelayName(name)).to.deep.include({ instance: ownOwner(), canonicalName: null, digest: null });
      expect(name.length).to.be.below(255);
    }
  });
});

describe('the layers that a config names', () => {
  const digest = digestOf(Buffer.from('a layer'));

  for (const [title, config, expected] of [
    ['are read', { rootfs: { type: 'layers', diff_ids: [digest] } }, [digest]],
    ['may be none', { rootfs: { diff_ids: [] } }, []],
    ['are unknown where there is no list', { rootfs: {} }, null],
    ['are unknown where there is no rootfs', {}, null],
    ['are unknown where one is no digest', { rootfs: { diff_ids: [digest, 'sha256:short'] } }, null],
    ['are unknown where one is no text', { rootfs: { diff_ids: [7] } }, null],
    ['are unknown where the config is a list', [], null],
    ['are unknown where the config is null', null, null],
  ] as const) {
    it(title, () => {
      expect(readDiffIds(Buffer.from(JSON.stringify(config)))).to.deep.equal(expected);
    });
  }

  it('are unknown where the config is no JSON', () => {
    expect(readDiffIds(Buffer.from('{'))).to.equal(null);
  });
});
