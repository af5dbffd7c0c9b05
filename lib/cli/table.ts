import { dim, type Line, type Span, strong } from './line.js';

/** One cell of a table. */
export type Cell = string | Span;

/** Sets rows under their headings, each column as wide as its widest cell; numbers to the right where asked for. */
export function tableLines(
  headings: readonly string[],
  rows: readonly (readonly Cell[])[],
  rightAligned: readonly number[] = [],
): readonly Line[] {
  const all = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...all.map((row) => textOf(row[column] ?? '').length)));
  const line = (row: readonly Cell[], tone: (text: string) => Cell): Line =>
    row.flatMap((cell, column) => {
      const width = widths[column] ?? 0;
      const blank = ' '.repeat(Math.max(0, width - textOf(cell).length));
      const shown = typeof cell === 'string' ? tone(cell) : cell;
      const padded = rightAligned.includes(column) ? [blank, shown] : [shown, blank];
      return [...padded, column === headings.length - 1 ? '' : '  '];
    });
  return [
    ['  ', ...line(headings, strong)],
    [dim(`  ${widths.map((width) => '─'.repeat(width)).join('  ')}`)],
    ...rows.map((row): Line => ['  ', ...line(row, (text) => text)]),
  ];
}

function textOf(cell: Cell): string {
  return typeof cell === 'string' ? cell : cell.text;
}
