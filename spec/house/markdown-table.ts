/**
 * The rows of the first table whose header row starts with `firstColumn`, each as its trimmed cells.
 *
 * @throws Error when there is no such table, or it is empty: a spec that compares with nothing proves nothing
 */
export function readMarkdownTable(markdown: string, firstColumn: string): readonly (readonly string[])[] {
  const lines = markdown.split('\n');
  const header = lines.findIndex((line) => line.startsWith('|') && cellsOf(line)[0] === firstColumn);
  if (header < 0) throw new Error(`no table starts with the column ${firstColumn}`);
  const rows: (readonly string[])[] = [];
  for (const line of lines.slice(header + 2)) {
    if (!line.startsWith('|')) break;
    rows.push(cellsOf(line));
  }
  if (rows.length === 0) throw new Error(`the table ${firstColumn} is empty`);
  return rows;
}

/** `\|` is a bar inside a cell, as in a union of words. */
function cellsOf(line: string): string[] {
  return line
    .trim()
    .slice(1, -1)
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim());
}

/** Every `code` word of a cell, without its backticks. */
export function codeWords(cell: string): readonly string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');
}
