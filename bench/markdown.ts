/** What the generated part of this name stands between. */
function marksOf(name: string): readonly [begin: string, end: string] {
  return [`<!-- begin: ${name} -->`, `<!-- end: ${name} -->`];
}

/** A Markdown table as the formatter of this project sets it: columns padded, numbers to the right. */
export function markdownTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  rightAligned: ReadonlySet<number>,
): string {
  const escaped = [headings, ...rows].map((row) => headings.map((_, column) => escapeCell(row[column] ?? '')));
  const widths = headings.map((_, column) => Math.max(3, ...escaped.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => pad(cell, widths[column] ?? 0, rightAligned.has(column))).join(' | ')} |`;
  const rule = widths.map((width, column) =>
    rightAligned.has(column) ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width),
  );
  const [head = [], ...body] = escaped;
  return [head, rule, ...body].map(line).join('\n');
}

/**
 * Puts generated text in the place of what an earlier run left; everything outside of the marks stays.
 *
 * @throws Error when the document does not have both marks, in order: nothing may be overwritten by guess
 */
export function replaceMeasured(document: string, name: string, text: string): string {
  const [beginMark, endMark] = marksOf(name);
  const begin = document.indexOf(beginMark);
  const end = document.indexOf(endMark);
  if (begin < 0 || end < begin) throw new Error(`the document needs ${beginMark} and, after it, ${endMark}`);
  return `${document.slice(0, begin + beginMark.length)}\n\n${text.trim()}\n\n${document.slice(end)}`;
}

function pad(cell: string, width: number, toTheRight: boolean): string {
  return toTheRight ? cell.padStart(width) : cell.padEnd(width);
}

function escapeCell(cell: string): string {
  return cell.replaceAll('|', '\\|');
}
