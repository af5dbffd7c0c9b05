/** How a bar ends. */
export type BarEnd =
  /** In multiples of the group's unit. */
  | { readonly kind: 'measured'; readonly value: number; readonly min: number; readonly max: number }
  /** It never ended: drawn without an end. */
  | { readonly kind: 'open'; readonly note: string }
  /** There is nothing to draw. */
  | { readonly kind: 'none'; readonly note: string };

/** One tool in a situation. */
export interface ChartBar {
  readonly label: string;
  readonly kind: 'ours' | 'reference' | 'other';
  readonly end: BarEnd;
  /** In the same unit: where it has to end; null for no such target. */
  readonly target: number | null;
}

/** One situation. */
export interface ChartGroup {
  readonly title: string;
  /** What values are multiples of: `bytes ÷ bandwidth`. */
  readonly unit: string;
  /** Groups of one scale are drawn alike long. */
  readonly scale: string;
  readonly bars: readonly ChartBar[];
}

const width = 960;
const margin = 16;
/** Where bars begin and where the longest one ends: labels are to the left, values to the right, whatever their bar. */
const plotLeft = 306;
const plotRight = 830;
const headHeight = 64;
const groupTitleHeight = 30;
const barPitch = 20;
const barHeight = 13;
const groupGap = 12;
/** How long the tip of a bar without an end is. */
const tip = 9;

/** Readers see it in a page of theirs: by the colours they prefer, on a ground of its own. */
const style = `
.ground { fill: #ffffff }
text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.group { font-size: 13px; font-weight: 600 }
.quiet { fill: #59636e }
.ours { fill: #1f6feb }
.reference { fill: #6e7781 }
.other { fill: #c4ccd4 }
.open { fill: url(#fade) }
.fade { stop-color: #cf4a3f }
.line { stroke: #d1d9e0; stroke-width: 1 }
.span { stroke: #1f2328; stroke-width: 1; opacity: 0.55 }
.target { stroke: #bc5b00; stroke-width: 2.5 }
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117 }
text { fill: #e6edf3 }
.quiet { fill: #9198a1 }
.ours { fill: #4c8dff }
.reference { fill: #8b949e }
.other { fill: #424a53 }
.fade { stop-color: #f0655a }
.line { stroke: #30363d }
.span { stroke: #e6edf3 }
.target { stroke: #ffa348 }
}`.trim();

/** Draws horizontal bars, a block for each group, as an SVG document that needs nothing else. */
export function barChart(title: string, groups: readonly ChartGroup[]): string {
  const longest = longestByScale(groups);
  let y = headHeight;
  const drawn = groups.map((group) => {
    const top = y;
    y += groupTitleHeight + group.bars.length * barPitch + groupGap;
    return groupMarkup(group, top, longest.get(group.scale) ?? 1);
  });
  const height = y + margin;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${style}</style>`,
    '<defs><linearGradient id="fade"><stop class="fade" offset="0" stop-opacity="0.9"/><stop class="fade" offset="1" stop-opacity="0.25"/></linearGradient></defs>',
    `<rect class="ground" width="${width}" height="${height}" rx="6"/>`,
    textAt(margin, 28, title, 'title'),
    ...legendMarkup(48),
    ...drawn.flat(),
    '</svg>',
  ].join('\n')}\n`;
}

/** What the longest bar of each scale stands for, and its target too; a bar of one unit at least. */
function longestByScale(groups: readonly ChartGroup[]): ReadonlyMap<string, number> {
  const longest = new Map<string, number>();
  for (const { scale, bars } of groups) {
    const values = bars.flatMap(({ end, target }) => [end.kind === 'measured' ? end.max : 1, target ?? 1]);
    longest.set(scale, Math.max(1, longest.get(scale) ?? 1, ...values));
  }
  return longest;
}

function legendMarkup(y: number): readonly string[] {
  const entries = [
    ['ours', 'pull-failover'],
    ['reference', 'what it is compared with'],
    ['other', 'other tools'],
    ['open', 'hangs'],
  ] as const;
  const pitch = 176;
  return [
    ...entries.flatMap(([kind, text], index) => [
      `<rect class="${kind}" x="${margin + index * pitch}" y="${y - 10}" width="14" height="11" rx="2"/>`,
      textAt(margin + index * pitch + 20, y, text, 'quiet'),
    ]),
    lineFrom(margin + entries.length * pitch + 7, y - 12, margin + entries.length * pitch + 7, y + 3, 'target'),
    textAt(margin + entries.length * pitch + 20, y, 'target: no longer than this', 'quiet'),
  ];
}

function groupMarkup({ title, unit, bars }: ChartGroup, top: number, longest: number): readonly string[] {
  const xOf = (value: number): number => plotLeft + (value / longest) * (plotRight - plotLeft);
  const barsTop = top + groupTitleHeight;
  const bottom = barsTop + bars.length * barPitch;
  return [
    textAt(margin, top + 18, title, 'group'),
    textAt(plotRight, top + 18, `× ${unit}`, 'quiet', 'end'),
    lineFrom(plotLeft, barsTop - 3, plotLeft, bottom, 'line'),
    lineFrom(xOf(1), barsTop - 3, xOf(1), bottom, 'line'),
    ...bars.flatMap((bar, index) => barMarkup(bar, barsTop + index * barPitch, xOf)),
  ];
}

function barMarkup(
  { label, kind, end, target }: ChartBar,
  top: number,
  xOf: (value: number) => number,
): readonly string[] {
  const baseline = top + barHeight - 2.5;
  const middle = top + barHeight / 2;
  return [
    textAt(plotLeft - 8, baseline, label, kind === 'ours' ? '' : 'quiet', 'end'),
    ...endMarkup(end, kind, top, xOf),
    ...(target === null ? [] : [lineFrom(xOf(target), middle - 8.5, xOf(target), middle + 8.5, 'target')]),
  ];
}

function endMarkup(
  end: BarEnd,
  kind: ChartBar['kind'],
  top: number,
  xOf: (value: number) => number,
): readonly string[] {
  const baseline = top + barHeight - 2.5;
  const middle = top + barHeight / 2;
  switch (end.kind) {
    case 'measured':
      return [
        `<rect class="${kind}" x="${plotLeft}" y="${top}" width="${rounded(xOf(end.value) - plotLeft)}" height="${barHeight}" rx="2"/>`,
        ...(end.max > end.min ? [lineFrom(xOf(end.min), middle, xOf(end.max), middle, 'span')] : []),
        textAt(plotRight + 8, baseline, `${end.value.toFixed(2)} ×`),
      ];
    case 'open': {
      const shoulder = plotRight - tip;
      const points = [
        [plotLeft, top],
        [shoulder, top],
        [plotRight, middle],
        [shoulder, top + barHeight],
        [plotLeft, top + barHeight],
      ];
      return [
        `<polygon class="open" points="${points.map(([x, y]) => `${x},${y}`).join(' ')}"/>`,
        textAt(plotRight + 8, baseline, end.note),
      ];
    }
    case 'none':
      return [textAt(plotLeft + 8, baseline, end.note, 'quiet')];
  }
}

function textAt(x: number, y: number, text: string, kind: string = '', anchor: 'start' | 'end' = 'start'): string {
  const attributes = [
    ...(kind === '' ? [] : [` class="${kind}"`]),
    ...(anchor === 'start' ? [] : [` text-anchor="${anchor}"`]),
  ];
  return `<text x="${rounded(x)}" y="${rounded(y)}"${attributes.join('')}>${escaped(text)}</text>`;
}

function lineFrom(x1: number, y1: number, x2: number, y2: number, kind: string): string {
  return `<line class="${kind}" x1="${rounded(x1)}" y1="${rounded(y1)}" x2="${rounded(x2)}" y2="${rounded(y2)}"/>`;
}

/** Tenths of a pixel: nobody sees less, and files that differ by nothing should not differ. */
function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
