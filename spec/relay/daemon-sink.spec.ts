import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import type { ByteSpan } from '../../lib/relay/byte-range.js';
import { DaemonSink } from '../../lib/relay/daemon-sink.js';
import { createFingerprintKey } from '../../lib/relay/fingerprint.js';

const size = 1_000;
const right = randomBytes(size);
const mid = size / 2;
const offsets = [0, 1, mid, size - 2, size - 1] as const;
const key = createFingerprintKey();

interface Opened {
  readonly sink: DaemonSink;
  readonly taken: () => Buffer;
  readonly isEnded: () => boolean;
  readonly spoiled: () => number;
}

function open(span: ByteSpan = { from: 0, to: size }): Opened {
  const parts: Uint8Array[] = [];
  let isEnded = false;
  let spoiled = 0;
  const body = {
    write: async (bytes: Uint8Array) => {
      expect(isEnded).to.equal(false);
      expect(bytes.length).to.be.greaterThan(0);
      parts.push(Uint8Array.from(bytes));
    },
    end: async (bytes: Uint8Array) => {
      expect(isEnded).to.equal(false);
      parts.push(Uint8Array.from(bytes));
      isEnded = true;
    },
  };
  const sink = new DaemonSink(body, span, key, () => {
    spoiled += 1;
  });
  return { sink, taken: () => Buffer.concat(parts), isEnded: () => isEnded, spoiled: () => spoiled };
}

/** As bytes arrive: in pieces that end where they like. */
async function feed(sink: DaemonSink, bytes: Uint8Array, from: number = 0, piece: number = 97): Promise<void> {
  for (let at = from; at < bytes.length; at += piece) await sink.write(bytes.subarray(at, at + piece));
}

describe('the sink before a daemon', () => {
  it('keeps nothing for a later pull', async () => {
    const { sink } = open();
    expect(sink.kept).to.equal(0);
    for await (const chunk of sink.readKept()) expect.fail(`${chunk.length} bytes were kept`);
    await sink.release();
  });

  it('withholds the last bytes until the blob is known to be right', async () => {
    const { sink, taken, isEnded } = open();
    await sink.write(right.subarray(0, mid));
    await sink.write(right.subarray(mid));
    expect(taken().equals(right.subarray(0, mid))).to.equal(true);
    await sink.commit();
    expect(isEnded()).to.equal(true);
    expect(taken().equals(right)).to.equal(true);
    expect(sink.given).to.equal('unsuspected');
  });

  for (const from of offsets) {
    for (const to of [from + 1, mid + 1, size - 1, size]) {
      if (to <= from) continue;
      it(`gives bytes ${from} to ${to - 1} and no others, the last of them at the end`, async () => {
        const { sink, taken, isEnded } = open({ from, to });
        await feed(sink, right);
        expect(isEnded()).to.equal(false);
        expect(taken().length).to.be.below(to - from);
        await sink.commit();
        expect(taken().equals(right.subarray(from, to))).to.equal(true);
      });
    }
  }

  for (const at of offsets) {
    it(`goes on where it was when the blob begins again at byte ${at} with the same bytes`, async () => {
      const { sink, taken, spoiled } = open();
      await feed(sink, right.subarray(0, at));
      await sink.restart();
      expect(sink.given).to.equal(at === 0 ? 'unsuspected' : 'doubtful');
      await feed(sink, right, 0, 61);
      expect(sink.given).to.equal('unsuspected');
      await sink.commit();
      expect(taken().equals(right)).to.equal(true);
      expect(spoiled()).to.equal(0);
    });

    if (at > 0) {
      for (const wrong of [0, Math.floor(at / 2), at - 1]) {
        it(`knows that byte ${wrong} of the ${at} given was wrong, and completes what the daemon refuses`, async () => {
          const { sink, taken, isEnded, spoiled } = open();
          const lie = Buffer.from(right.subarray(0, at));
          lie[wrong] = (lie[wrong] ?? 0) ^ 1;
          await feed(sink, lie);
          await sink.restart();
          await feed(sink, right, 0, 61);
          // It may as well be the new bytes that are wrong.
          expect(sink.given).to.equal('doubtful');
          expect(spoiled()).to.equal(0);
          expect(taken().equals(lie)).to.equal(true);
          await sink.commit();
          expect(sink.given).to.equal('spoiled');
          expect(isEnded()).to.equal(true);
          expect(taken().equals(Buffer.concat([lie, Buffer.alloc(size - at)]))).to.equal(true);
          expect(spoiled()).to.equal(1);
        });
      }
    }

    it(`completes with zeros when nobody has what follows byte ${at}`, async () => {
      const { sink, taken, isEnded } = open();
      await feed(sink, right.subarray(0, at));
      await sink.fill();
      expect(isEnded()).to.equal(true);
      expect(taken().equals(Buffer.concat([right.subarray(0, at), Buffer.alloc(size - at)]))).to.equal(true);
      expect(sink.given).to.equal('spoiled');
    });
  }

  it('compares only what it gave: bytes before the range were never its own', async () => {
    const { sink, taken, spoiled } = open({ from: mid, to: size });
    const otherBeginning = Buffer.concat([randomBytes(mid), right.subarray(mid)]);
    await feed(sink, otherBeginning.subarray(0, mid + 100));
    await sink.restart();
    await feed(sink, right);
    await sink.commit();
    expect(taken().equals(right.subarray(mid))).to.equal(true);
    expect(spoiled()).to.equal(0);
  });

  it('goes on where it was when it was the second time that lied', async () => {
    const { sink, taken, spoiled } = open();
    await feed(sink, right.subarray(0, mid));
    await sink.restart();
    await feed(sink, randomBytes(size));
    await sink.restart();
    await feed(sink, right);
    await sink.commit();
    expect(taken().equals(right)).to.equal(true);
    expect(spoiled()).to.equal(0);
  });

  it('stays doubtful when the blob begins again before the comparison is over', async () => {
    const { sink } = open();
    await feed(sink, right.subarray(0, mid));
    await sink.restart();
    await feed(sink, right.subarray(0, mid - 1));
    await sink.restart();
    expect(sink.given).to.equal('doubtful');
    await feed(sink, right.subarray(0, mid));
    expect(sink.given).to.equal('unsuspected');
  });

  it('is not completed before the end', async () => {
    const { sink } = open();
    await feed(sink, right.subarray(0, mid));
    let failure: unknown;
    await sink.commit().catch((error: unknown) => {
      failure = error;
    });
    expect(failure).to.be.instanceOf(Error);
  });

  it('fills more than it holds in one piece', async () => {
    const large = 3 * 256 * 1024 + 5;
    const { sink, taken } = open({ from: 0, to: large });
    await sink.fill();
    expect(taken().equals(Buffer.alloc(large))).to.equal(true);
  });

  it('gives every byte once, in order, however often the blob begins again and whoever lies', async () => {
    const pass = fc.record({
      bytes: fc.nat({ max: size }),
      lieAt: fc.option(fc.nat({ max: size - 1 }), { nil: null }),
      piece: fc.integer({ min: 1, max: 400 }),
    });
    const span = fc
      .tuple(fc.nat({ max: size - 1 }), fc.nat({ max: size - 1 }))
      .map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) + 1 }));
    await fc.assert(
      fc.asyncProperty(fc.array(pass, { maxLength: 5 }), span, async (passes, { from, to }) => {
        const { sink, taken, spoiled } = open({ from, to });
        for (const { bytes, lieAt, piece } of passes) {
          const sent = Buffer.from(right);
          if (lieAt !== null) sent[lieAt] = (sent[lieAt] ?? 0) ^ 255;
          await feed(sink, sent.subarray(0, bytes), 0, piece);
          await sink.restart();
        }
        await feed(sink, right);
        await sink.commit();
        const given = taken();
        expect(given.length).to.equal(to - from);
        const isRight = given.equals(right.subarray(from, to));
        expect(spoiled()).to.equal(isRight ? 0 : 1);
        expect(sink.given).to.equal(isRight ? 'unsuspected' : 'spoiled');
      }),
      { numRuns: 300 },
    );
  });
});
