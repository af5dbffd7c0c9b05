import { expect } from 'chai';
import fc from 'fast-check';
import { Assembly } from '../../../lib/failover/blob/assembly.js';
import { digestOf } from '../../../lib/image/digest.js';
import { failureOf } from '../../support/failure-of.js';
import { memorySink } from '../support/memory-sink.js';

/** A run of bytes from one source, in chunks; some of them may be wrong. */
interface Piece {
  readonly source: string | null;
  readonly share: number;
  readonly chunk: number;
  /** Where in the piece a byte is wrong, as a share of it; null when it is right. */
  readonly wrongAt: number | null;
}

const piece: fc.Arbitrary<Piece> = fc.record({
  source: fc.constantFrom('A', 'B', 'C'),
  share: fc.double({ min: 0, max: 0.7, noNaN: true }),
  chunk: fc.integer({ min: 1, max: 500 }),
  wrongAt: fc.option(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { freq: 3 }),
});

const bytesArbitrary = fc.uint8Array({ minLength: 1, maxLength: 2_000 });

/** Adds pieces until everything is there; returns who sent wrong bytes. */
async function fill(
  assembly: Assembly,
  right: Uint8Array,
  pieces: readonly Piece[],
): Promise<ReadonlySet<string | null>> {
  const liars = new Set<string | null>();
  const last: Piece = { source: 'C', share: 1, chunk: 500, wrongAt: null };
  for (const { source, share, chunk, wrongAt } of [...pieces, last]) {
    const from = assembly.offset;
    const to = share === 1 ? right.length : Math.min(right.length, from + Math.floor(share * right.length));
    const sent = Buffer.from(right.subarray(from, to));
    if (wrongAt !== null && sent.length > 0) {
      const at = Math.floor(wrongAt * sent.length);
      sent[at] = (sent[at] ?? 0) ^ 1;
      liars.add(source);
    }
    for (let at = 0; at < sent.length; at += chunk) await assembly.add(sent.subarray(at, at + chunk), source);
    if (assembly.isComplete) break;
  }
  return liars;
}

describe('Assembly', () => {
  it('gives out nothing wrong, and names those who sent wrong bytes, and nobody else', async () => {
    await fc.assert(
      fc.asyncProperty(
        bytesArbitrary,
        fc.array(fc.array(piece, { maxLength: 6 }), { minLength: 1, maxLength: 3 }),
        async (right, mixtures) => {
          const sink = memorySink();
          const assembly = new Assembly({ digest: digestOf(right), size: right.length }, sink);
          const lied = new Set<string | null>();
          let isVerified = false;
          for (const mixture of mixtures) {
            const liars = await fill(assembly, right, mixture);
            expect(assembly.isComplete).to.equal(true);
            expect(sink.content.length, 'the last chunk is withheld').to.be.below(right.length);
            const settlement = await assembly.settle();
            expect(settlement.kind).to.equal(liars.size === 0 ? 'verified' : 'mismatch');
            if (settlement.kind === 'verified') {
              expect(new Set(settlement.liars)).to.deep.equal(lied);
              isVerified = true;
              break;
            }
            for (const liar of liars) lied.add(liar);
            expect(settlement.contributors).to.include.members([...liars]);
            expect(sink.isCommitted).to.equal(false);
            await assembly.restart();
          }
          if (!isVerified) {
            await assembly.add(right, 'H');
            const settlement = await assembly.settle();
            expect(settlement.kind === 'verified' ? new Set(settlement.liars) : null).to.deep.equal(lied);
          }
          expect(sink.isCommitted).to.equal(true);
          expect(sink.content.equals(right)).to.equal(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('goes on from a checkpoint as from the bytes before it', async () => {
    await fc.assert(
      fc.asyncProperty(bytesArbitrary, fc.nat(2_000), async (right, place) => {
        const at = place % (right.length + 1);
        const blob = { digest: digestOf(right), size: right.length };
        const first = new Assembly(blob, memorySink());
        if (at > 0) await first.add(right.subarray(0, at), 'A');
        const checkpoint = first.checkpoint();
        // What happens to the first one afterwards is nothing to the second.
        if (at < right.length) await first.add(right.subarray(at), 'A');
        const sink = memorySink({ kept: right.subarray(0, at) });
        const second = new Assembly(blob, sink, checkpoint);
        if (at < right.length) await second.add(right.subarray(at), 'B');
        expect((await second.settle()).kind).to.equal('verified');
        expect(sink.content.equals(right)).to.equal(true);
      }),
      { numRuns: 100 },
    );
  });

  it("counts what an earlier pull kept as nobody's", async () => {
    const right = Buffer.from('the right bytes');
    const wrong = Buffer.from('the wrong');
    const blob = { digest: digestOf(right), size: right.length };
    const assembly = new Assembly(blob, memorySink({ kept: wrong }));
    expect(await assembly.prime(new AbortController().signal)).to.equal(wrong.length);
    await assembly.add(right.subarray(wrong.length), 'A');
    expect(await assembly.settle()).to.deep.equal({ kind: 'mismatch', contributors: ['A'], keptInvolved: true });
    await assembly.restart();
    expect(assembly.offset).to.equal(0);
    expect(assembly.contributors).to.deep.equal([]);
    await assembly.add(right, 'B');
    expect(await assembly.settle()).to.deep.equal({ kind: 'verified', liars: [] });
  });

  it('takes no more bytes than the blob has', async () => {
    const right = Buffer.from('four');
    const assembly = new Assembly({ digest: digestOf(right), size: right.length }, memorySink());
    expect(await failureOf(assembly.add(Buffer.from('more than four'), 'A'))).to.be.instanceOf(RangeError);
  });

  it('is right about nothing at all', async () => {
    const sink = memorySink();
    const assembly = new Assembly({ digest: digestOf(new Uint8Array(0)), size: 0 }, sink);
    expect(await assembly.settle()).to.deep.equal({ kind: 'verified', liars: [] });
    expect(sink.calls).to.deep.equal([{ call: 'commit' }]);
  });
});
