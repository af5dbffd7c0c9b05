import { styleText } from 'node:util';

/** How a piece of text is meant; colours only repeat what the words say. */
export type Tone = 'plain' | 'strong' | 'dim' | 'good' | 'warning' | 'bad';

/** A piece of text. */
export interface Span {
  readonly text: string;
  readonly tone: Tone;
}

/** One line for people, before it is broken to the width of a terminal. */
export type Line = readonly (string | Span)[];

/** How lines are shown. */
export interface LineStyle {
  readonly colours: boolean;
  /** Where to break; `Infinity` never does. */
  readonly width: number;
}

type StyledTone = Exclude<Tone, 'plain'>;

const styles: Readonly<Record<StyledTone, Parameters<typeof styleText>[0]>> = {
  strong: 'bold',
  dim: 'dim',
  good: 'green',
  warning: 'yellow',
  bad: 'red',
};

/** Makes pieces of one tone. */
export const strong = (text: string): Span => ({ text, tone: 'strong' });
export const dim = (text: string): Span => ({ text, tone: 'dim' });
export const good = (text: string): Span => ({ text, tone: 'good' });
export const warning = (text: string): Span => ({ text, tone: 'warning' });
export const bad = (text: string): Span => ({ text, tone: 'bad' });

// Whatever a peer or a file wrote must not move the cursor, ring or turn the reading direction around.
// oxlint-disable-next-line no-control-regex
const unprintable = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g;

/** The text with everything replaced that a terminal would obey instead of show. */
export function printable(text: string): string {
  return text.replace(unprintable, ' ');
}

/** Shows a line, broken between words where it is too long; what follows the first break is indented by `indent`. */
export function renderLine(line: Line, { colours, width }: LineStyle, indent: number): string {
  const rows: Span[][] = [[]];
  let used = 0;
  for (const piece of line) {
    const { text, tone }: Span = typeof piece === 'string' ? { text: piece, tone: 'plain' } : piece;
    for (const word of printable(text).match(/ +|[^ ]+/g) ?? []) {
      // A blank at the end of a row is not seen: only a word can be too long for it.
      if (!word.startsWith(' ') && used + word.length > width && used > indent) {
        rows.push([{ text: ' '.repeat(indent), tone: 'plain' }]);
        used = indent;
      }
      append(rows.at(-1) ?? [], { text: word, tone });
      used += word.length;
    }
  }
  return rows
    .map((row) =>
      row
        .map((span) => paint(span, colours))
        .join('')
        .trimEnd(),
    )
    .join('\n');
}

/** Words of one tone are painted as one piece, so that they can be found as one text. */
function append(row: Span[], { text, tone }: Span): void {
  const last = row.at(-1);
  if (last?.tone === tone) row[row.length - 1] = { text: last.text + text, tone };
  else row.push({ text, tone });
}

function paint({ text, tone }: Span, colours: boolean): string {
  const shown = text.trimEnd();
  if (!colours || tone === 'plain' || shown === '') return text;
  // Whether there are colours was decided with the terminal that is written to; Node would ask its own.
  return styleText(styles[tone], shown, { validateStream: false }) + text.slice(shown.length);
}
