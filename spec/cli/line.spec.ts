import { expect } from 'chai';
import fc from 'fast-check';
import { showBytes, showMs } from '../../lib/cli/amounts.js';
import { bad, dim, type Line, printable, renderLine, warning } from '../../lib/cli/line.js';
import { tableLines } from '../../lib/cli/table.js';

const plain = { colours: false, width: Infinity };
// oxlint-disable-next-line no-control-regex
const colour = /\u001b\[\d+m/g;

describe('a line on the screen', () => {
  it('is broken between words, and goes on indented', () => {
    const line = renderLine(['one two three four'], { colours: false, width: 9 }, 2);
    expect(line).to.equal('one two\n  three\n  four');
  });

  it('is not broken inside a word that is wider than the screen', () => {
    expect(renderLine(['a sha256:0123456789'], { colours: false, width: 8 }, 0)).to.equal('a\nsha256:0123456789');
  });

  it('is as wide as the text allows where nothing breaks it', () => {
    expect(renderLine(['a'.repeat(500), ' ', 'b'], plain, 0)).to.equal(`${'a'.repeat(500)} b`);
  });

  it('keeps words of one tone together, so that they can be found as one text', () => {
    const line = renderLine([warning('failed over'), ' from a to b'], { colours: true, width: 80 }, 0);
    expect(line).to.equal('\u001b[33mfailed over\u001b[39m from a to b');
  });

  it('has no colours without them', () => {
    expect(renderLine([bad('failed'), dim(': why')], plain, 0)).to.equal('failed: why');
  });

  it('never shows a character that a terminal would obey, whatever it is made of', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' })), fc.integer({ min: 10, max: 60 }), (texts, width) => {
        const line: Line = texts.map((text) => bad(text));
        const shown = renderLine(line, { colours: true, width }, 4).replace(colour, '');
        // oxlint-disable-next-line no-control-regex
        expect(shown).to.not.match(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/);
      }),
    );
  });

  it('never grows wider than the screen while its words are not', () => {
    const words = fc.array(fc.stringMatching(/^[a-z]{1,8}$/), { maxLength: 40 });
    fc.assert(
      fc.property(words, fc.integer({ min: 14, max: 60 }), (texts, width) => {
        const rows = renderLine([texts.join(' ')], { colours: false, width }, 4).split('\n');
        for (const row of rows) expect(row.length).to.be.at.most(width);
        expect(rows.join(' ').split(/ +/).join(' ').trim()).to.equal(texts.join(' '));
      }),
    );
  });

  it('shows what was hidden in a text as blanks', () => {
    expect(printable('a\u001b[2Jb\nc\u202ed')).to.equal('a [2Jb c d');
  });
});

describe('a table on the screen', () => {
  it('is as wide as its widest cells, with numbers to the right', () => {
    const lines = tableLines(
      ['who', 'bytes'],
      [
        ['a', '7'],
        ['longer', dim('1,234')],
      ],
      [1],
    );
    expect(lines.map((line) => renderLine(line, plain, 0))).to.deep.equal([
      '  who     bytes',
      '  ──────  ─────',
      '  a           7',
      '  longer  1,234',
    ]);
  });
});

describe('amounts on the screen', () => {
  for (const [bytes, text] of [
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '1.0 kB'],
    [99_949, '99.9 kB'],
    [123_456, '123 kB'],
    [27_000_000, '27.0 MB'],
    [8_589_934_592, '8.6 GB'],
    [5e15, '5000 TB'],
  ] as const) {
    it(`shows ${bytes} bytes as ${text}`, () => {
      expect(showBytes(bytes)).to.equal(text);
    });
  }

  for (const [ms, text] of [
    [0, '0.0 s'],
    [1_049, '1.0 s'],
    [59_940, '59.9 s'],
    [60_000, '1 min 0 s'],
    [200_000, '3 min 20 s'],
  ] as const) {
    it(`shows ${ms} milliseconds as ${text}`, () => {
      expect(showMs(ms)).to.equal(text);
    });
  }
});
