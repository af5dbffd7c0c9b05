import { expect } from 'chai';
import fc from 'fast-check';
import { BlobWindow } from '../../../lib/failover/blob/blob-window.js';
import type { Flight } from '../../../lib/failover/blob/flight.js';

const size = 60;
/** Each byte is its own offset. */
const content: Uint8Array = Uint8Array.from({ length: size }, (_, index) => index);

/** A flight without a connection: bytes arrive when the spec says so. */
class PaperFlight {
  readonly from: number;
  arrived: number;
  end: { readonly kind: 'landed' } | null = null;
  isCancelled = false;
  readonly #to: number;
  #taken: number;
  readonly #chunks: Uint8Array[] = [];

  constructor(from: number, to: number) {
    this.from = from;
    this.arrived = from;
    this.#to = to;
    this.#taken = from;
  }

  get to(): number {
    return this.end === null ? this.#to : this.arrived;
  }

  get claimedBytes(): number {
    return this.to - this.#taken;
  }

  covers(offset: number): boolean {
    return offset >= this.#taken && offset < this.to;
  }

  has(offset: number): boolean {
    return offset >= this.#taken && offset < this.arrived;
  }

  take(offset: number): Uint8Array | null {
    const early = offset - this.#taken;
    const all = Buffer.concat(this.#chunks.splice(0)).subarray(early);
    const chunk = all.subarray(0, 3);
    if (all.length > chunk.length) this.#chunks.push(all.subarray(chunk.length));
    this.#taken = offset + chunk.length;
    return chunk.length === 0 ? null : chunk;
  }

  arrive(bytes: number): void {
    if (this.end !== null) return;
    const to = Math.min(this.arrived + bytes, this.#to);
    if (to > this.arrived) this.#chunks.push(content.subarray(this.arrived, to));
    this.arrived = to;
    if (this.arrived === this.#to) this.land();
  }

  land(): void {
    this.end ??= { kind: 'landed' };
  }

  cancel(): void {
    this.isCancelled = true;
    this.land();
  }

  /** It is all that a window uses of one. */
  get asFlight(): Flight {
    return this as unknown as Flight;
  }
}

type Step =
  | { readonly does: 'start'; readonly from: number; readonly length: number }
  | { readonly does: 'arrive'; readonly which: number; readonly bytes: number }
  | { readonly does: 'end' | 'remove'; readonly which: number }
  | { readonly does: 'take' };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ does: fc.constant('start' as const), from: fc.nat(size - 1), length: fc.integer({ min: 1, max: 20 }) }),
  {
    weight: 3,
    arbitrary: fc.record({
      does: fc.constant('arrive' as const),
      which: fc.nat(9),
      bytes: fc.integer({ min: 1, max: 9 }),
    }),
  },
  fc.record({ does: fc.constantFrom('end' as const, 'remove' as const), which: fc.nat(9) }),
  { weight: 3, arbitrary: fc.constant({ does: 'take' as const }) },
);

describe('the window of a blob', () => {
  it('gives out what has come in order and once, and knows who was asked for what', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const window = new BlobWindow();
        let flights: PaperFlight[] = [];
        let offset = 0;
        for (const each of steps) {
          const chosen = 'which' in each ? flights[each.which % Math.max(1, flights.length)] : undefined;
          switch (each.does) {
            case 'start': {
              // Nobody is asked for what has been taken.
              const from = Math.max(each.from, offset);
              if (from >= size) break;
              const flight = new PaperFlight(from, Math.min(size, from + each.length));
              flights.push(flight);
              window.add(flight.asFlight);
              break;
            }
            case 'arrive':
              chosen?.arrive(each.bytes);
              break;
            case 'end':
              chosen?.land();
              break;
            case 'remove':
              if (chosen === undefined) break;
              window.remove(chosen.asFlight);
              flights = flights.filter((flight) => flight !== chosen);
              break;
            case 'take': {
              const isHere = flights.some((flight) => flight.has(offset));
              const taken = window.take(offset);
              expect(taken !== null).to.equal(isHere);
              if (taken === null) break;
              expect(taken.chunk).to.deep.equal(Buffer.from(content.subarray(offset, offset + taken.chunk.length)));
              offset += taken.chunk.length;
            }
          }
          expectSame(window, flights, offset);
        }
        window.clear();
        expect(window.claimedBytes).to.equal(0);
        expect(window.open).to.deep.equal([]);
        expect(flights.every(({ end }) => end !== null)).to.equal(true);
      }),
      { numRuns: 500 },
    );
  });

  it('takes of two that have the same bytes those of the one that was there first', () => {
    const window = new BlobWindow();
    const [first, second] = [new PaperFlight(0, 20), new PaperFlight(0, 20)];
    for (const flight of [first, second]) {
      window.add(flight.asFlight);
      flight.arrive(3);
    }
    expect(window.take(0)?.from).to.equal(first);
    second.arrive(6);
    expect(window.take(3)?.from).to.equal(second);
  });

  it('forgets whoever has ended and brought nothing that is still wanted', () => {
    const window = new BlobWindow();
    const [slow, fast] = [new PaperFlight(0, 6), new PaperFlight(0, 6)];
    window.add(fast.asFlight);
    window.add(slow.asFlight);
    slow.arrive(4);
    slow.land();
    fast.arrive(6);
    window.take(0);
    window.take(3);
    expect(slow.isCancelled).to.equal(true);
    expect(window.claimedBytes).to.equal(0);
  });

  it('wakes whoever waits for news once for all that has happened', async () => {
    const window = new BlobWindow();
    window.tell();
    window.tell();
    await window.news();
    let isAwake = false;
    const waiting = window.news().then(() => {
      isAwake = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(isAwake).to.equal(false);
    window.tell();
    await waiting;
    expect(isAwake).to.equal(true);
  });
});

/** What the window says, beside what follows from its flights byte by byte. */
function expectSame(window: BlobWindow, flights: readonly PaperFlight[], offset: number): void {
  const isCovered = (at: number): boolean => flights.some((flight) => flight.covers(at));
  expect(window.open).to.deep.equal(flights.filter(({ end }) => end === null));
  expect(window.covering(offset) !== null).to.equal(isCovered(offset));
  for (const to of [offset, Math.min(size, offset + 10), size]) {
    const gap = window.gap(offset, to);
    let from = offset;
    while (from < to && isCovered(from)) from += 1;
    expect(gap?.from ?? to).to.equal(from);
    if (gap === null) continue;
    expect(gap.to).to.be.within(gap.from + 1, to);
    for (let at = gap.from; at < gap.to; at += 1) expect(isCovered(at)).to.equal(false);
    if (gap.to < to) expect(isCovered(gap.to)).to.equal(true);
  }
}
