import { expect } from 'chai';
import { barChart, type ChartBar, type ChartGroup } from '../../bench/chart.js';
import { chartGroups } from '../../bench/chart-groups.js';
import { done, ended, other, ours, oursAgain, placing, resultOf } from './support/results.js';

const bar = (label: string, value: number, more: Partial<ChartBar> = {}): ChartBar => ({
  label,
  kind: 'other',
  end: { kind: 'measured', value, min: value, max: value },
  target: null,
  ...more,
});

const group = (title: string, bars: readonly ChartBar[], scale: string = title): ChartGroup => ({
  title,
  unit: 'unit',
  scale,
  bars,
});

/** The lengths of bars, in the order in which they are drawn; the squares of the legend have no such height. */
function lengths(svg: string): readonly number[] {
  return [...svg.matchAll(/<rect class="\w+" x="[\d.]+" y="[\d.]+" width="([\d.]+)" height="13"/g)].map(([, width]) =>
    Number(width),
  );
}

describe('the chart', () => {
  it('draws bars as long as what they stand for, and one scale for groups that share one', () => {
    const svg = barChart('A title', [
      group('first', [bar('a', 4), bar('b', 1)], 'shared'),
      group('second', [bar('c', 2)], 'shared'),
      group('third', [bar('d', 2)]),
    ]);
    const [a = 0, b = 0, c = 0, d = 0] = lengths(svg);
    expect(b / a).to.be.closeTo(0.25, 0.001);
    expect(c / a).to.be.closeTo(0.5, 0.001);
    expect(d).to.equal(a);
  });

  it('draws a bar without an end for who hangs, and none for who fails', () => {
    const svg = barChart('A title', [
      group('first', [
        bar('a', 1, { end: { kind: 'open', note: 'hangs' } }),
        bar('b', 1, { end: { kind: 'none', note: 'fails after 1.0 s' } }),
      ]),
    ]);
    expect(lengths(svg)).to.deep.equal([]);
    expect(svg.match(/<polygon class="open"/g)).to.have.length(1);
    for (const note of ['>hangs</text>', '>fails after 1.0 s</text>']) expect(svg).to.include(note);
  });

  it('marks targets, also beyond the longest bar', () => {
    const svg = barChart('A title', [group('first', [bar('a', 1, { target: 2 })])]);
    // The first one is the legend's.
    const [, [, x = ''] = []] = [...svg.matchAll(/<line class="target" x1="([\d.]+)"/g)];
    const [length = 0] = lengths(svg);
    expect(Number(x) - 306).to.be.closeTo(2 * length, 0.2);
  });

  it('says in words what it shows, and nothing of a text is taken for markup', () => {
    const svg = barChart('a < b & c', [group('<g>', [bar('x & y', 1.236)])]);
    for (const text of [
      '<title>a &lt; b &amp; c</title>',
      '>&lt;g&gt;</text>',
      '>x &amp; y</text>',
      '>1.24 ×</text>',
    ]) {
      expect(svg).to.include(text);
    }
    expect(svg).to.include('role="img"');
  });

  it('is a whole document that needs nothing else, every element closed, with colours for dark pages too', () => {
    const svg = barChart('A title', [group('first', [bar('a', 1, { target: 0.5 }), bar('b', 2)])]);
    const open: string[] = [];
    for (const [, slash, name = '', selfClosing] of svg.matchAll(/<(\/?)([a-zA-Z]+)[^<>]*?(\/?)>/g)) {
      if (slash === '/') expect(open.pop()).to.equal(name);
      else if (selfClosing !== '/') open.push(name);
    }
    expect(open).to.deep.equal([]);
    expect(svg).to.not.match(/href|url\((?!#)|@import/);
    expect(svg).to.include('@media (prefers-color-scheme: dark)');
    const [, height = ''] = /viewBox="0 0 960 (\d+)"/.exec(svg) ?? [];
    const lowest = Math.max(...[...svg.matchAll(/ y="([\d.]+)"/g)].map(([, y]) => Number(y)));
    expect(lowest).to.be.lessThan(Number(height));
  });
});

describe('what the chart shows of results', () => {
  const target = { kind: 'times', times: 1.5, of: 'other' } as const;

  it('is everybody but the controls, as multiples of what the link allows', () => {
    const [shown] = chartGroups([
      resultOf([
        placing(ours, [done(3), done(4), done(5)], target),
        placing(oursAgain, [done(4)]),
        placing(other, [done(2)]),
        placing({ ...other, name: 'third', title: 'the third' }, [ended('stopped', 15)]),
      ]),
    ]);
    expect(shown).to.deep.equal({
      title: 'a scenario',
      unit: 'bytes ÷ bandwidth',
      scale: 'limit',
      bars: [
        { label: 'the own', kind: 'ours', end: { kind: 'measured', value: 2, min: 1.5, max: 2.5 }, target: 1.5 },
        { label: 'the other', kind: 'reference', end: { kind: 'measured', value: 1, min: 1, max: 1 }, target: null },
        { label: 'the third', kind: 'other', end: { kind: 'open', note: 'hangs' }, target: null },
      ],
    });
  });

  it('or of the reference, where the scenario says so', () => {
    const placings = [placing(ours, [done(3)], target), placing(other, [done(2)])];
    const [shown] = chartGroups([resultOf(placings, { chartUnit: 'reference', bandwidth: null })]);
    expect(shown).to.deep.include({ unit: 'the other', scale: 'a-scenario' });
    expect(shown?.bars.map(({ end }) => end.kind === 'measured' && end.value)).to.deep.equal([1.5, 1]);
    expect(shown?.bars[0]?.target).to.equal(1.5);
  });

  it('is told in seconds where the reference did not succeed', () => {
    const placings = [placing(ours, [done(3)]), placing(other, [ended('failed', 1)])];
    const [shown] = chartGroups([resultOf(placings, { chartUnit: 'reference', bandwidth: null })]);
    expect(shown?.bars.map(({ end }) => end)).to.deep.equal([
      { kind: 'none', note: '3.00 s (3.00–3.00)' },
      { kind: 'none', note: 'fails after 1.0 s' },
    ]);
  });
});
