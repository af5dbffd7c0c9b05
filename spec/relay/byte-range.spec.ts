import { expect } from 'chai';
import fc from 'fast-check';
import { contentRange, readRange, unsatisfiedRange } from '../../lib/relay/byte-range.js';

const size = 1_000;

describe('the range that is asked of a blob', () => {
  for (const [header, expected] of [
    [undefined, null],
    ['bytes=0-', { from: 0, to: 1_000 }],
    ['bytes=1-', { from: 1, to: 1_000 }],
    ['bytes=999-', { from: 999, to: 1_000 }],
    ['bytes=0-0', { from: 0, to: 1 }],
    ['bytes=10-19', { from: 10, to: 20 }],
    ['bytes=10-999', { from: 10, to: 1_000 }],
    ['bytes=10-5000', { from: 10, to: 1_000 }],
    ['bytes=-1', { from: 999, to: 1_000 }],
    ['bytes=-1000', { from: 0, to: 1_000 }],
    ['bytes=-5000', { from: 0, to: 1_000 }],
    ['bytes=1000-', 'unsatisfiable'],
    ['bytes=1000-1001', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
    ['bytes=9999999999999999-', 'unsatisfiable'],
    ['bytes=20-10', null],
    ['bytes=0-1,3-4', null],
    ['bytes=a-b', null],
    ['bytes=-', null],
    ['bytes= 0-1', null],
    ['bytes=0x1-', null],
    ['bytes=99999999999999999999-', null],
    ['items=0-1', null],
    ['', null],
  ] as const) {
    it(`${header ?? 'nothing'} of ${size} bytes is ${JSON.stringify(expected)}`, () => {
      expect(readRange(header, size)).to.deep.equal(expected);
    });
  }

  it('is never satisfied by an empty blob', () => {
    for (const header of ['bytes=0-', 'bytes=0-0', 'bytes=-1']) {
      expect(readRange(header, 0)).to.equal('unsatisfiable');
    }
  });

  it('is never empty and never outside', () => {
    const number = fc.oneof(fc.constant(''), fc.nat({ max: 2_000 }).map(String));
    fc.assert(
      fc.property(number, number, fc.nat({ max: 1_500 }), (first, last, bytes) => {
        const read = readRange(`bytes=${first}-${last}`, bytes);
        if (read === null || read === 'unsatisfiable') return;
        expect(read.from).to.be.within(0, bytes - 1);
        expect(read.to).to.be.within(read.from + 1, bytes);
      }),
    );
  });

  it('is answered in the words of the protocol', () => {
    expect(contentRange({ from: 3, to: 10 }, 20)).to.equal('bytes 3-9/20');
    expect(unsatisfiedRange(20)).to.equal('bytes */20');
  });
});
