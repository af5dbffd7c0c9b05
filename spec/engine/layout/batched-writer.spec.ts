import { expect } from 'chai';
import fc from 'fast-check';
import { createBatchedWriter, type WritableHandle } from '../../../lib/engine/layout/batched-writer.js';

/** A file in memory that takes what it is told to, when it is told to. */
interface FakeFile extends WritableHandle {
  readonly bytes: Buffer;
  readonly calls: { readonly chunks: number; readonly bytes: number }[];
}

function fakeFile(options: { takes?: () => number; gate?: () => Promise<void>; start?: Buffer } = {}): FakeFile {
  let bytes = options.start ?? Buffer.alloc(0);
  const calls: { chunks: number; bytes: number }[] = [];
  const file = {
    get bytes() {
      return bytes;
    },
    calls,
    writev: async (chunks: readonly Uint8Array[], position: number) => {
      await options.gate?.();
      const whole = Buffer.concat(chunks);
      calls.push({ chunks: chunks.length, bytes: whole.length });
      const taken = whole.subarray(0, options.takes?.() ?? whole.length);
      const grown = Buffer.alloc(Math.max(bytes.length, position + taken.length));
      bytes.copy(grown);
      taken.copy(grown, position);
      bytes = grown;
      return { bytesWritten: taken.length, buffers: [...chunks] };
    },
    truncate: async (length: number) => {
      bytes = bytes.subarray(0, length);
    },
  };
  return file as unknown as FakeFile;
}

const direct = (write: () => Promise<void>): Promise<void> => write();

function gated(): { readonly gate: () => Promise<void>; open(): void } {
  let release = (): void => {};
  let gate = new Promise<void>((resolve) => (release = resolve));
  return {
    gate: () => gate,
    open: () => {
      release();
      gate = Promise.resolve();
    },
  };
}

describe('A batched writer', () => {
  it('gathers what comes while a write is under way', async () => {
    const { gate, open } = gated();
    const file = fakeFile({ gate });
    const writer = createBatchedWriter(file, 0, direct);
    await writer.write(Buffer.from('a'));
    await new Promise((resolve) => setImmediate(resolve));
    for (const text of ['b', 'c', 'd']) await writer.write(Buffer.from(text));
    open();
    await writer.drain();
    expect(file.calls).to.deep.equal([
      { chunks: 1, bytes: 1 },
      { chunks: 3, bytes: 3 },
    ]);
    expect(file.bytes.toString()).to.equal('abcd');
    expect(writer.end).to.equal(4);
  });

  it('hands a chunk that comes alone to the disk without being asked', async () => {
    const file = fakeFile();
    const writer = createBatchedWriter(file, 0, direct);
    await writer.write(Buffer.from('alone'));
    for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(file.bytes.toString()).to.equal('alone');
  });

  it('holds the sender when one batch is under way and another one is full', async () => {
    const { gate, open } = gated();
    const writer = createBatchedWriter(fakeFile({ gate }), 0, direct);
    await writer.write(Buffer.alloc(1 << 20));
    let resolved = false;
    const second = writer.write(Buffer.alloc(1 << 20)).then(() => (resolved = true));
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(resolved).to.equal(false);
    open();
    await second;
    await writer.drain();
  });

  it('holds the sender of very many very small chunks, too', async () => {
    const { gate, open } = gated();
    const file = fakeFile({ gate });
    const writer = createBatchedWriter(file, 0, direct);
    let accepted = 0;
    const sending = (async () => {
      for (; accepted < 5000; accepted += 1) await writer.write(Buffer.from('x'));
    })();
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(accepted).to.be.below(2100);
    open();
    await sending;
    await writer.drain();
    expect(file.bytes).to.have.length(5000);
    expect(Math.max(...file.calls.map(({ chunks }) => chunks))).to.be.at.most(1000);
  });

  it('goes on where a disk that takes less than it is given has stopped', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 30 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 20 })),
        fc.integer({ min: 0, max: 10 }),
        async (chunks, takes, start) => {
          const file = fakeFile({ takes: () => takes.next().value ?? 1, start: Buffer.alloc(start) });
          const writer = createBatchedWriter(file, start, direct);
          for (const chunk of chunks) await writer.write(chunk);
          await writer.drain();
          expect(Buffer.compare(file.bytes, Buffer.concat([Buffer.alloc(start), ...chunks]))).to.equal(0);
          expect(writer.end).to.equal(file.bytes.length);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('tells whoever comes next what the disk said, and writes no more', async () => {
    const full = Object.assign(new Error('no space'), { code: 'ENOSPC' });
    let calls = 0;
    const writer = createBatchedWriter(fakeFile(), 0, async () => {
      calls += 1;
      throw full;
    });
    await writer.write(Buffer.from('a'));
    for (const work of [() => writer.drain(), () => writer.write(Buffer.from('b')), () => writer.restart()]) {
      expect(await work().catch((error: unknown) => error)).to.equal(full);
    }
    expect(calls).to.equal(1);
  });

  it('begins at 0 after a restart, with nothing of what was before', async () => {
    const file = fakeFile({ start: Buffer.from('kept') });
    const writer = createBatchedWriter(file, 4, direct);
    await writer.write(Buffer.from(' and more'));
    await writer.restart();
    expect(file.bytes.toString()).to.equal('');
    await writer.write(Buffer.from('new'));
    await writer.drain();
    expect(file.bytes.toString()).to.equal('new');
  });
});
