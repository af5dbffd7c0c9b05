import { expect } from 'chai';
import { format } from 'prettier';
import { markdownTable, replaceMeasured } from '../../bench/markdown.js';
import { readMarkdownTable } from '../house/markdown-table.js';

describe('a generated table', () => {
  const headings = ['tool', '× limit', 'time'];
  const rows = [
    ['pull-failover', '1.15', '3.68 s (3.50–3.90)'],
    ['a | b', '12.40', 'hangs (stopped at 40 s)'],
    ['cut short'],
  ];
  const table = markdownTable(headings, rows, new Set([1]));

  it('is what the formatter of this project would make of it', async () => {
    expect(await format(table, { parser: 'markdown', printWidth: 120 })).to.equal(`${table}\n`);
  });

  it('reads back as it was written, with empty cells where a row is short', () => {
    expect(readMarkdownTable(table, 'tool')).to.deep.equal([
      ['pull-failover', '1.15', '3.68 s (3.50–3.90)'],
      [String.raw`a \| b`, '12.40', 'hangs (stopped at 40 s)'],
      ['cut short', '', ''],
    ]);
  });
});

describe('the generated part of a document', () => {
  const marked = (text: string): string =>
    `# Title\n\nBefore.\n\n<!-- begin: layout -->\n${text}\n<!-- end: layout -->\n\nAfter.\n`;

  it('is replaced, and nothing around it', () => {
    const once = replaceMeasured(marked('old\nnumbers'), 'layout', 'new numbers');
    expect(once).to.equal(marked('\nnew numbers\n'));
    expect(replaceMeasured(once, 'layout', 'newer numbers')).to.equal(marked('\nnewer numbers\n'));
  });

  it('may begin as nothing at all', () => {
    expect(replaceMeasured(marked(''), 'layout', 'numbers')).to.equal(marked('\nnumbers\n'));
  });

  for (const [what, document] of [
    ['without marks', '# Title\n'],
    ['without the mark at its end', '<!-- begin: layout -->\n'],
    ['without the mark at its beginning', '<!-- end: layout -->\n'],
    ['with the marks of another part', '<!-- begin: engines -->\n<!-- end: engines -->\n'],
    ['with its marks the wrong way round', '<!-- end: layout -->\n<!-- begin: layout -->\n'],
  ] as const) {
    it(`is not guessed in a document ${what}`, () => {
      expect(() => replaceMeasured(document, 'layout', 'numbers')).to.throw('the document needs');
    });
  }
});
