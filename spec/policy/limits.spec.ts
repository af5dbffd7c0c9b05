import { expect } from 'chai';
import fc from 'fast-check';
import { isInvalidOptionError } from '../../lib/errors/invalid-option-error.js';
import { resolveLimits, type Limits, type Timeouts } from '../../lib/policy/limits.js';

function resolve(...timeouts: readonly Timeouts[]): Limits {
  return resolveLimits(timeouts.map((each) => ({ path: 'timeouts', timeouts: each })));
}

function problemOf(...timeouts: readonly unknown[]): string {
  try {
    resolveLimits(timeouts.map((each, index) => ({ path: `level${index}`, timeouts: each })));
  } catch (error) {
    if (isInvalidOptionError(error)) return error.message;
    throw error;
  }
  return 'accepted';
}

const defaults: Limits = {
  metadata: { requestMs: 5_000, totalMs: 10_000 },
  layers: { firstByteMs: 5_000, stallMs: 4_000, minBytesPerSecond: 32_768, windowMs: 15_000, totalMs: Infinity },
  lastCandidate: { firstByteMs: 30_000, stallMs: 30_000 },
  extract: { stallMs: 900_000 },
};

describe('limits', () => {
  it('have their defaults where nothing is given', () => {
    expect(resolve()).to.deep.equal(defaults);
    expect(resolve({}, { metadata: {}, layers: {} })).to.deep.equal(defaults);
    expect(resolveLimits([{ path: 'timeouts', timeouts: undefined }])).to.deep.equal(defaults);
  });

  it('take every value that is given', () => {
    const given: Limits = {
      metadata: { requestMs: 1, totalMs: 2 },
      layers: { firstByteMs: 3, stallMs: 4, minBytesPerSecond: 5, windowMs: 6, totalMs: 700 },
      lastCandidate: { firstByteMs: 8, stallMs: 9 },
      extract: { stallMs: 10 },
    };
    expect(resolve(given)).to.deep.equal(given);
  });

  it('are frozen as a whole', () => {
    const limits = resolve({ layers: { stallMs: 1_000 } });
    expect([limits, ...Object.values(limits)].every((each) => Object.isFrozen(each))).to.equal(true);
  });

  it('of a later level win, key by key', () => {
    const limits = resolve(
      { metadata: { requestMs: 1_000, totalMs: 2_000 }, layers: { stallMs: 1_000 } },
      { layers: { stallMs: 2_000, firstByteMs: 3_000 } },
      { metadata: { requestMs: 1_500 }, layers: { firstByteMs: 6_000 } },
    );
    expect(limits.metadata).to.deep.equal({ requestMs: 1_500, totalMs: 2_000 });
    expect(limits.layers).to.include({ stallMs: 2_000, firstByteMs: 6_000 });
  });

  it('do not read undefined as a value', () => {
    const later = { layers: { stallMs: undefined } } as unknown as Timeouts;
    expect(resolve({ layers: { stallMs: 1_000 } }, later).layers.stallMs).to.equal(1_000);
  });

  describe('of the last candidate', () => {
    it('hold for every candidate where layers gives them and lastCandidate does not, each for itself', () => {
      expect(resolve({ layers: { stallMs: 2_000, firstByteMs: 3_000 } }).lastCandidate).to.deep.equal({
        stallMs: 2_000,
        firstByteMs: 3_000,
      });
      expect(resolve({ layers: { stallMs: 2_000 } }).lastCandidate).to.deep.equal({
        stallMs: 2_000,
        firstByteMs: 30_000,
      });
      expect(resolve({ layers: { firstByteMs: 60_000 } }).lastCandidate).to.deep.equal({
        stallMs: 30_000,
        firstByteMs: 60_000,
      });
    });

    it('are its own where it is given, on whatever level', () => {
      const limits = resolve(
        { lastCandidate: { stallMs: 60_000 } },
        { layers: { stallMs: 2_000, firstByteMs: 1_000 } },
      );
      expect(limits.lastCandidate).to.deep.equal({ stallMs: 60_000, firstByteMs: 1_000 });
    });
  });

  describe('by default never contradict one that was given:', () => {
    const table: readonly {
      readonly rule: string;
      readonly given: Timeouts;
      readonly expected: { readonly [Name in keyof Limits]?: Partial<Limits[Name]> };
    }[] = [
      {
        rule: 'a request has no more time than all requests',
        given: { metadata: { totalMs: 3_000 } },
        expected: { metadata: { requestMs: 3_000, totalMs: 3_000 } },
      },
      {
        rule: 'all requests have at least the time of one',
        given: { metadata: { requestMs: 20_000 } },
        expected: { metadata: { requestMs: 20_000, totalMs: 20_000 } },
      },
      {
        rule: 'all requests are without limit when one is',
        given: { metadata: { requestMs: Infinity } },
        expected: { metadata: { requestMs: Infinity, totalMs: Infinity } },
      },
      {
        rule: 'one request keeps its limit when all have none',
        given: { metadata: { totalMs: Infinity } },
        expected: { metadata: { requestMs: 5_000, totalMs: Infinity } },
      },
      {
        rule: 'no candidate has more time than the last one',
        given: { lastCandidate: { stallMs: 1_000, firstByteMs: 2_000 } },
        expected: {
          layers: { stallMs: 1_000, firstByteMs: 2_000 },
          lastCandidate: { stallMs: 1_000, firstByteMs: 2_000 },
        },
      },
      {
        rule: 'no blob has more time than all blobs',
        given: { layers: { totalMs: 3_000 } },
        expected: {
          layers: { stallMs: 3_000, firstByteMs: 3_000 },
          lastCandidate: { stallMs: 3_000, firstByteMs: 3_000 },
        },
      },
      {
        rule: 'the last candidate has no more time than all blobs',
        given: { layers: { totalMs: 20_000 } },
        expected: { layers: { stallMs: 4_000 }, lastCandidate: { stallMs: 20_000, firstByteMs: 20_000 } },
      },
      {
        rule: 'the floor does not end a silence that the stall limit forgives',
        given: { layers: { stallMs: 20_000 } },
        expected: { layers: { stallMs: 20_000, windowMs: 20_000 } },
      },
      {
        rule: 'nothing ends a silence when the stall limit is off',
        given: { layers: { stallMs: Infinity } },
        expected: { layers: { windowMs: Infinity }, lastCandidate: { stallMs: Infinity } },
      },
      {
        rule: 'a floor that was given stays on when the stall limit is off',
        given: { layers: { stallMs: Infinity, minBytesPerSecond: 1_000_000 } },
        expected: { layers: { windowMs: 15_000, minBytesPerSecond: 1_000_000 } },
      },
      {
        rule: 'a stall is not forgiven for longer than a window that was given',
        given: { layers: { windowMs: 2_000 } },
        expected: { layers: { stallMs: 2_000, windowMs: 2_000 }, lastCandidate: { stallMs: 30_000 } },
      },
    ];
    for (const { rule, given, expected } of table) {
      it(rule, () => {
        const limits = resolve(given);
        for (const [group, values] of Object.entries(expected)) {
          expect(limits[group as keyof Limits], group).to.include(values);
        }
      });
    }
  });

  it('may be equal where one bounds the other', () => {
    const equal: Timeouts = {
      metadata: { requestMs: 3_000, totalMs: 3_000 },
      layers: { firstByteMs: 3_000, stallMs: 3_000, windowMs: 3_000, totalMs: 3_000 },
      lastCandidate: { firstByteMs: 3_000, stallMs: 3_000 },
    };
    expect(problemOf(equal)).to.equal('accepted');
  });

  it('that contradict each other throw, naming both keys and both values', () => {
    const table: readonly (readonly [Timeouts, string])[] = [
      [
        { metadata: { requestMs: 5_001, totalMs: 5_000 } },
        'Option level0.metadata.requestMs must be at most level0.metadata.totalMs, which is 5000, got 5001: it could never expire',
      ],
      [{ layers: { firstByteMs: 9, totalMs: 8 } }, 'level0.layers.firstByteMs must be at most level0.layers.totalMs'],
      [{ layers: { stallMs: 9, totalMs: 8 } }, 'level0.layers.stallMs must be at most level0.layers.totalMs'],
      [{ layers: { stallMs: 9, windowMs: 8 } }, 'level0.layers.stallMs must be at most level0.layers.windowMs'],
      [
        { layers: { stallMs: 9 }, lastCandidate: { stallMs: 8 } },
        'level0.layers.stallMs must be at most level0.lastCandidate.stallMs, which is 8, got 9: the last candidate',
      ],
      [
        { layers: { firstByteMs: Infinity }, lastCandidate: { firstByteMs: 8 } },
        'level0.layers.firstByteMs must be at most level0.lastCandidate.firstByteMs, which is 8, got Infinity',
      ],
      [
        { layers: { totalMs: 8 }, lastCandidate: { firstByteMs: 9 } },
        'level0.lastCandidate.firstByteMs must be at most level0.layers.totalMs',
      ],
      [
        { layers: { totalMs: 8 }, lastCandidate: { stallMs: 9 } },
        'level0.lastCandidate.stallMs must be at most level0.layers.totalMs',
      ],
    ];
    for (const [given, problem] of table) expect(problemOf(given)).to.include(problem);
  });

  it('that contradict each other throw also where they come from two levels, naming each', () => {
    expect(problemOf({ metadata: { totalMs: 3_000 } }, { metadata: { requestMs: 4_000 } })).to.include(
      'Option level1.metadata.requestMs must be at most level0.metadata.totalMs, which is 3000, got 4000',
    );
  });

  it('do not contradict what a later level has replaced', () => {
    const levels: readonly Timeouts[] = [
      { metadata: { requestMs: 4_000, totalMs: 3_000 } },
      { metadata: { totalMs: 5_000 } },
    ];
    expect(problemOf(...levels)).to.equal('accepted');
  });

  it('without end leave the limiting to the total', () => {
    const limits = resolve({
      metadata: { requestMs: Infinity, totalMs: 3_000 },
      layers: { stallMs: Infinity, totalMs: 60_000 },
    });
    expect(limits.metadata).to.deep.equal({ requestMs: Infinity, totalMs: 3_000 });
    expect(limits.layers.stallMs).to.equal(Infinity);
  });

  it('are rejected when they are out of range or no numbers, naming key and value', () => {
    for (const value of [0, -1, 1.5, Number.NaN, -Infinity, 2 ** 53, '5000', null, true, 5n, {}, [1]]) {
      const problem = problemOf({ layers: { stallMs: value } });
      expect(problem, String(value)).to.match(/^Option level0\.layers\.stallMs must be .*, got /);
    }
    for (const value of [0, -1, 0.5, Infinity]) {
      expect(problemOf({ layers: { minBytesPerSecond: value } })).to.match(
        /^Option level0\.layers\.minBytesPerSecond must be an integer of at least 1, got /,
      );
    }
    expect(problemOf({ layers: 5_000 })).to.equal('Option level0.layers must be an object, got 5000');
    expect(problemOf(5_000)).to.equal('Option level0 must be an object, got 5000');
  });

  it('longer than setTimeout can wait are valid', () => {
    expect(resolve({ metadata: { totalMs: 2 ** 31 } }).metadata.totalMs).to.equal(2 ** 31);
    expect(resolve({ extract: { stallMs: Number.MAX_SAFE_INTEGER } }).extract.stallMs).to.equal(2 ** 53 - 1);
  });

  it('with an unknown key are rejected, naming it and the known ones', () => {
    expect(problemOf({ layer: { stallMs: 1 } })).to.include('Option level0.layer is unknown');
    expect(problemOf({ layers: { stall: 4_000 } })).to.equal(
      'Option level0.layers.stall is unknown (value 4000); known here: firstByteMs, stallMs, minBytesPerSecond, windowMs, totalMs',
    );
  });

  it('either throw or come out whole, without a contradiction, and with every given value kept', () => {
    const durationMs = fc.option(fc.oneof(fc.integer({ min: 1, max: 100_000 }), fc.constant(Infinity)), {
      nil: undefined,
    });
    const timeouts = fc.record({
      metadata: fc.record({ requestMs: durationMs, totalMs: durationMs }),
      layers: fc.record({
        firstByteMs: durationMs,
        stallMs: durationMs,
        windowMs: durationMs,
        totalMs: durationMs,
        minBytesPerSecond: fc.option(fc.integer({ min: 1 }), { nil: undefined }),
      }),
      lastCandidate: fc.record({ firstByteMs: durationMs, stallMs: durationMs }),
    });
    const inOrder = (shorter: number, longer: number): boolean => shorter === Infinity || shorter <= longer;
    fc.assert(
      fc.property(timeouts, (given) => {
        if (problemOf(given) !== 'accepted') return;
        const { metadata, layers, lastCandidate } = resolve(given as Timeouts);
        expect(inOrder(metadata.requestMs, metadata.totalMs)).to.equal(true);
        expect(layers.firstByteMs).to.be.at.most(lastCandidate.firstByteMs);
        expect(layers.stallMs).to.be.at.most(lastCandidate.stallMs);
        for (const each of [layers, lastCandidate]) {
          expect(inOrder(each.firstByteMs, layers.totalMs)).to.equal(true);
          expect(inOrder(each.stallMs, layers.totalMs)).to.equal(true);
        }
        expect(inOrder(layers.stallMs, layers.windowMs)).to.equal(true);
        for (const [group, values] of Object.entries({ metadata, layers, lastCandidate })) {
          for (const [key, value] of Object.entries(given[group as keyof typeof given])) {
            if (value !== undefined) expect(values, `${group}.${key}`).to.have.property(key, value);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
