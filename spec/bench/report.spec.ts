import { expect } from 'chai';
import type { Result } from '../../bench/measure.js';
import { reportText, type Surroundings } from '../../bench/report.js';
import { readMarkdownTable } from '../house/markdown-table.js';
import { done, ended, other, ours, oursAgain, placing, resultOf } from './support/results.js';

const surroundings: Surroundings = {
  cores: 2,
  cpu: 'A processor',
  memoryBytes: 8 * 2 ** 30,
  loadBefore: 0.25,
  node: '20.20.2',
  tools: ['Docker 20.10.24', 'podman 4.3.1'],
  rounds: 3,
};

const text = (...results: readonly Result[]): string => reportText(results, surroundings);
const rowsOf = (...results: readonly Result[]): readonly (readonly string[])[] =>
  readMarkdownTable(text(...results), 'scenario');

describe('the report of a comparison', () => {
  it('tells each time as multiples of what the link allows and of the reference, and what was sent twice', () => {
    const own = done(8, { sentByA: 25e6, sentByB: 80e6, cpuSeconds: 0.2, rssGrowthBytes: 50 * 2 ** 20 });
    const result = resultOf([
      placing(ours, [own]),
      placing(other, [done(4, { sentByA: 0, sentByB: 100e6 })]),
      placing({ ...other, name: 'third', title: 'the third' }, [ended('stopped', 15)]),
      placing({ ...other, name: 'fourth', title: 'the fourth' }, [ended('failed', 1.25)]),
    ]);
    const nothing = (count: number): readonly string[] => Array.from({ length: count }, () => '');
    expect(rowsOf(result)).to.deep.equal([
      [
        ...['a scenario', 'the own', '8.00 s (8.00–8.00)', '4.00', '2.00'],
        ...['25.0 MB', '80.0 MB', '5.0 MB', '2.00', '50 MiB', '', '', ''],
      ],
      ['', 'the other', '4.00 s (4.00–4.00)', '2.00', '1.00', '0.0 MB', '100.0 MB', '0.0 MB', ...nothing(5)],
      ['', 'the third', 'hangs (stopped at 15 s)', ...nothing(10)],
      ['', 'the fourth', 'fails after 1.25 s (1.25–1.25)', ...nothing(10)],
    ]);
  });

  it('compares with the reference of its own where a contender has one', () => {
    const { entrant, summary } = placing({ ...ours, name: 'third' }, [done(6)]);
    const result = resultOf([
      placing(other, [done(4)]),
      placing(ours, [done(2)]),
      { entrant: { ...entrant, reference: ours.name }, summary },
    ]);
    expect(rowsOf(result).map((row) => row[4])).to.deep.equal(['1.00', '0.50', '3.00']);
  });

  it('gives each target a line, and counts those that are met', () => {
    const result = resultOf([
      placing(
        ours,
        [done(6, { rssGrowthBytes: 200 * 2 ** 20 })],
        { kind: 'times', times: 2, of: 'other' },
        { kind: 'growth', bytes: 100 * 2 ** 20 },
      ),
      placing(other, [done(4)]),
    ]);
    expect(rowsOf(result).map((row) => row.slice(10))).to.deep.equal([
      ['≤ 2.00 × the other', '1.50 ×', 'yes'],
      ['memory grows by ≤ 100 MiB', '200 MiB at most', 'no'],
      ['', '', ''],
    ]);
    expect(text(result)).to.include('1 of 2 targets are met.');
  });

  it('meets no target with a pull that did not succeed', () => {
    const target = { kind: 'times', times: 2, of: 'other' } as const;
    const result = resultOf([placing(ours, [ended('failed', 1)], target), placing(other, [done(4)])]);
    expect(rowsOf(result)[0]?.slice(10)).to.deep.equal(['the pull succeeds', 'it does not', 'no']);
  });

  it('tells of a control how far it is from the first, and judges it by no target', () => {
    const target = { kind: 'times-limit', times: 1 } as const;
    const result = resultOf([placing(ours, [done(2)], target), placing(oursAgain, [done(2.5)], target)]);
    expect(rowsOf(result)[1]?.slice(10)).to.deep.equal(['the same tool twice', '1.25 ×', '']);
    expect(text(result)).to.include('1 of 1 targets are met.');
  });

  it('knows of nothing sent twice where other images were pulled before', () => {
    const own = done(8, { sentByA: 25e6, sentByB: 100e6 });
    expect(rowsOf(resultOf([placing(ours, [own])], { first: 4 }))[0]?.[7]).to.equal('');
  });

  it('says how often it was measured and on what, and who could not be for want of what', () => {
    const result = resultOf([placing(ours, [done(8)])]);
    const leftOut = [{ title: 'podman, both', missing: 'podman (apt-get install podman)' }];
    const whole = text({ ...result, leftOut }, result);
    for (const fact of [
      '3 rounds',
      '2 cores',
      'Docker 20.10.24, podman 4.3.1',
      '- podman, both: needs podman (apt-get',
    ]) {
      expect(whole).to.include(fact);
    }
    expect(whole).to.not.match(/\/home|\/root|\/tmp|\b20\d\d-\d\d/);
    expect(text(result)).to.not.include('Not measured');
  });
});
