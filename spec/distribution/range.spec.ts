import { expect } from 'chai';
import fc from 'fast-check';
import { headersOf } from '../../lib/distribution/headers.js';
import { parseContentRange, promisedBytes, rangeOf } from '../../lib/distribution/range.js';

describe('a Content-Range', () => {
  const good: readonly [string, object][] = [
    ['bytes 0-0/1', { start: 0, end: 0, total: 1 }],
    ['bytes 5-9/10', { start: 5, end: 9, total: 10 }],
    ['bytes 5-9/*', { start: 5, end: 9, total: null }],
    ['Bytes  5-9/10 ', { start: 5, end: 9, total: 10 }],
    ['bytes 0-9007199254740989/9007199254740990', { start: 0, end: 9007199254740989, total: 9007199254740990 }],
  ];
  for (const [value, expected] of good) {
    it(`is read: ${value}`, () => expect(parseContentRange(value)).to.deep.equal(expected));
  }
  const bad = [
    '',
    'bytes',
    'bytes */10',
    'bytes 5-4/10',
    'bytes 5-10/10',
    'bytes 5-9/0',
    'bytes -5-9/10',
    'bytes 5-9',
    'bytes 5-9/10, bytes 1-2/10',
    'items 5-9/10',
    'bytes=5-9/10',
    'bytes 0x5-9/10',
    'bytes 5-99999999999999999/*',
    'bytes 9999999999999999-9999999999999999/*',
  ];
  for (const value of bad) {
    it(`is refused: ${JSON.stringify(value)}`, () => expect(parseContentRange(value)).to.equal(null));
  }

  it('is read back exactly, or refused, whatever it holds', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), fc.option(fc.maxSafeNat()), (start, end, total) => {
        const parsed = parseContentRange(`bytes ${start}-${end}/${total ?? '*'}`);
        const possible = end >= start && (total === null || end < total);
        expect(parsed).to.deep.equal(possible ? { start, end, total } : null);
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (value) => {
        const parsed = parseContentRange(value);
        expect(parsed === null || parsed.end >= parsed.start).to.equal(true);
      }),
    );
  });
});

describe('a Range', () => {
  const size = 10;
  const asked: readonly [string, { from: number; to?: number }, string | null][] = [
    ['is not asked for the whole', { from: 0 }, null],
    ['is not asked for the whole, by its end', { from: 0, to: size }, null],
    ['of the first byte', { from: 0, to: 1 }, 'bytes=0-0'],
    ['of the first half', { from: 0, to: 5 }, 'bytes=0-4'],
    ['of all but the last byte', { from: 0, to: 9 }, 'bytes=0-8'],
    ['of one byte in the middle', { from: 5, to: 6 }, 'bytes=5-5'],
    ['of the second half is open', { from: 5 }, 'bytes=5-'],
    ['of the second half is open, by its end', { from: 5, to: size }, 'bytes=5-'],
    ['of the last byte is open', { from: 9, to: size }, 'bytes=9-'],
  ];
  for (const [title, wanted, range] of asked) {
    it(title, () => expect(rangeOf({ size, ...wanted })).to.equal(range));
  }
  it('is never asked for nothing', () => {
    expect(rangeOf({ size: 0, from: 0 })).to.equal(null);
    expect(rangeOf({ size: 0, from: 0, to: 0 })).to.equal(null);
  });
});

describe('the head of a blob answer', () => {
  const promised = (
    status: 200 | 206,
    fields: Record<string, string>,
    wanted: { size: number; from: number; to?: number },
  ): ReturnType<typeof promisedBytes> => promisedBytes(status, headersOf(fields), wanted);

  it('of a 200 promises the blob from its beginning, also when a range was asked for', () => {
    expect(promised(200, { 'content-length': '10' }, { size: 10, from: 0 })).to.deep.equal({
      start: 0,
      length: 10,
      end: 10,
    });
    expect(promised(200, {}, { size: 10, from: 4 })).to.deep.equal({ start: 0, length: null, end: 10 });
  });
  it('of a 200 is refused when its length is another one', () => {
    for (const length of ['9', '11', '0', '-1', 'ten', '1e1', '10, 11']) {
      expect(promised(200, { 'content-length': length }, { size: 10, from: 0 }), length).to.deep.equal({
        wrong: 'length-mismatch',
      });
    }
  });

  for (const from of [1, 5, 9]) {
    it(`of a 206 is accepted when it starts exactly at ${from} of 10, with a total, without one, and cut short`, () => {
      const wanted = { size: 10, from };
      const whole = { start: from, length: 10 - from, end: 10 };
      expect(promised(206, { 'content-range': `bytes ${from}-9/10` }, wanted)).to.deep.equal(whole);
      expect(promised(206, { 'content-range': `bytes ${from}-9/*` }, wanted)).to.deep.equal(whole);
      expect(promised(206, { 'content-range': `bytes ${from}-${from}/10` }, wanted)).to.deep.equal({
        start: from,
        length: 1,
        end: from + 1,
      });
    });
  }
  const wrong: readonly [string, Record<string, string>, string][] = [
    ['without a Content-Range', {}, 'range-mismatch'],
    ['one byte early', { 'content-range': 'bytes 4-9/10' }, 'range-mismatch'],
    ['one byte late', { 'content-range': 'bytes 6-9/10' }, 'range-mismatch'],
    ['from the beginning', { 'content-range': 'bytes 0-9/10' }, 'range-mismatch'],
    ['malformed', { 'content-range': 'bytes 5-/10' }, 'range-mismatch'],
    ['with a length of its own', { 'content-range': 'bytes 5-9/10', 'content-length': '6' }, 'range-mismatch'],
    ['of a longer blob', { 'content-range': 'bytes 5-9/11' }, 'length-mismatch'],
    ['of a shorter blob', { 'content-range': 'bytes 5-8/9' }, 'length-mismatch'],
    ['beyond the end', { 'content-range': 'bytes 5-10/*' }, 'length-mismatch'],
  ];
  for (const [title, fields, code] of wrong) {
    it(`of a 206 is refused ${title}`, () => {
      expect(promised(206, fields, { size: 10, from: 5 })).to.deep.equal({ wrong: code });
    });
  }
  for (const wanted of [{ from: 0 }, { from: 0, to: 10 }]) {
    it(`of a 206 is refused when no range was asked for, ${'to' in wanted ? 'by its end' : 'without an end'}`, () => {
      expect(promised(206, { 'content-range': 'bytes 0-9/10' }, { size: 10, ...wanted })).to.deep.equal({
        wrong: 'range-mismatch',
      });
    });
  }
  for (const [from, to] of [
    [0, 1],
    [0, 5],
    [0, 9],
    [1, 2],
    [5, 9],
    [5, 10],
    [9, 10],
  ] as const) {
    it(`of a 206 for [${from}, ${to}) of 10 is accepted up to there, and no byte further`, () => {
      const wanted = { size: 10, from, to };
      for (let last = from; last < 10; last += 1) {
        const expected =
          last < to ? { start: from, length: last + 1 - from, end: last + 1 } : { wrong: 'range-mismatch' };
        expect(promised(206, { 'content-range': `bytes ${from}-${last}/10` }, wanted), `${last}`).to.deep.equal(
          expected,
        );
        expect(promised(206, { 'content-range': `bytes ${from}-${last}/*` }, wanted), `${last}`).to.deep.equal(
          expected,
        );
      }
    });
  }
  it('of a 200 promises the blob from its beginning, also when a range with an end was asked for', () => {
    expect(promised(200, { 'content-length': '10' }, { size: 10, from: 4, to: 6 })).to.deep.equal({
      start: 0,
      length: 10,
      end: 10,
    });
  });
  it('of a 206 is refused with two Content-Ranges', () => {
    const headers = headersOf({ 'content-range': ['bytes 5-9/10', 'bytes 5-9/10'] });
    expect(promisedBytes(206, headers, { size: 10, from: 5 })).to.deep.equal({ wrong: 'range-mismatch' });
  });
});
