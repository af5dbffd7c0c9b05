import { expect } from 'chai';
import { pullFailover, skopeo } from '../../bench/contender.js';
import { reportText, type Result, type Standing, type Surroundings } from '../../bench/report.js';
import { loopback, type Scenario, scenarios } from '../../bench/scenario.js';
import { summarize, type Trial } from '../../bench/summary.js';
import { readMarkdownTable } from '../house/markdown-table.js';

const surroundings: Surroundings = {
  cores: 2,
  cpu: 'A processor',
  memoryBytes: 8 * 2 ** 30,
  loadBefore: 0.25,
  node: '20.20.2',
  skopeo: '1.9.3',
  dockerRegistry: '2.8.2',
  rounds: 3,
  capSeconds: 40,
  start: { own: { seconds: 0.25, cpuSeconds: 0.31 }, skopeo: { seconds: 0.03, cpuSeconds: 0.02 } },
};

const done = (seconds: number, sentBytes: Trial['sentBytes']): Trial => ({
  ending: 'done',
  seconds,
  cpuSeconds: 0.16,
  maxRssBytes: 90e6,
  rssGrowthBytes: null,
  sentBytes,
});

const ended = (ending: Trial['ending'], seconds: number): Trial => ({ ...done(seconds, null), ending });

const stall = scenarios.find(({ name }) => name === 'stall');

function resultOf(scenario: Scenario | undefined, blobBytes: number, ...standings: readonly Standing[]): Result {
  if (scenario === undefined) throw new Error('there is no such scenario');
  return { scenario, blobBytes, standings };
}

const own = (trial: Trial): Standing => ({ contender: pullFailover('ours'), summary: summarize([trial]) });
const healthy = (trial: Trial): Standing => ({
  contender: skopeo('skopeo of B', ['B'], 'healthy'),
  summary: summarize([trial]),
});

describe('the report of a benchmark', () => {
  it('tells each time as multiples of what the link allows and of a healthy pull, and what was sent twice', () => {
    const result = resultOf(
      stall,
      80e6,
      own(done(8, { A: 25e6, B: 60e6 })),
      healthy(done(4, { A: 0, B: 80e6 })),
      { contender: skopeo('skopeo of A', ['A']), summary: summarize([ended('stopped', 40)]) },
      { contender: skopeo('skopeo, both', ['A', 'B']), summary: summarize([ended('failed', 1.25)]) },
    );
    expect(readMarkdownTable(reportText([result], surroundings), 'registry A')).to.deep.equal([
      [
        'layers stall at 30 %',
        'ours',
        '8.00 s (8.00–8.00)',
        '2.50',
        '2.00',
        '25.0 MB',
        '60.0 MB',
        '5.0 MB',
        '2.00',
        '90 MB',
      ],
      ['', 'skopeo of B', '4.00 s (4.00–4.00)', '1.25', '1.00', '0.0 MB', '80.0 MB', '0.0 MB', '2.00', '90 MB'],
      ['', 'skopeo of A', 'hangs (stopped at 40 s)', '', '', '', '', '', '', ''],
      ['', 'skopeo, both', 'fails after 1.25 s (1.25–1.25)', '', '', '', '', '', '', ''],
    ]);
  });

  it('allows an outage the limit that has to expire and a second more than a healthy pull, and not a moment more', () => {
    const met = (seconds: number): readonly (readonly string[])[] => {
      const result = resultOf(stall, 80e6, own(done(seconds, null)), healthy(done(4, null)));
      return readMarkdownTable(reportText([result], surroundings), 'scenario');
    };
    expect(met(9)).to.deep.equal([['layers stall at 30 %', '≤ healthy + 5 s = 9.00 s', '9.00 s', 'yes']]);
    expect(met(9.01)).to.deep.equal([['layers stall at 30 %', '≤ healthy + 5 s = 9.00 s', '9.01 s', 'no']]);
  });

  it('meets no target with a pull that did not succeed', () => {
    const result = resultOf(stall, 80e6, own(ended('failed', 1)), healthy(done(4, null)));
    const [row] = readMarkdownTable(reportText([result], surroundings), 'scenario');
    expect(row).to.deep.equal(['layers stall at 30 %', 'the pull succeeds', 'it did not', 'no']);
  });

  it('tells an unshaped pull in MB/s and as a share of the other tool, with its control', () => {
    const control: Standing = { contender: pullFailover('again', 'control'), summary: summarize([done(2.5, null)]) };
    const result = resultOf(loopback, 1e9, own(done(2, null)), healthy(done(1, null)), control);
    const text = reportText([result], surroundings);
    expect(readMarkdownTable(text, 'what')[0]?.slice(1, 5)).to.deep.equal([
      'ours',
      '2.00 s (2.00–2.00)',
      '500',
      '0.50',
    ]);
    expect(readMarkdownTable(text, 'scenario').map((row) => row.slice(1))).to.deep.equal([
      ['≥ 0.8 × skopeo in MB/s', '0.50 ×', 'no'],
      ['≤ 2.3 CPU-s/GB, hashing included', '0.16', 'yes'],
      ['the same tool twice', 'pull-failover 1.25 ×', ''],
    ]);
    expect(text).to.not.include('On a shaped link');
  });

  it('says how often it was measured and on what, and nothing of when or where', () => {
    const text = reportText([resultOf(stall, 80e6, own(done(8, null)), healthy(done(4, null)))], surroundings);
    for (const fact of [
      '3 rounds',
      '2 cores',
      '20.20.2',
      '1.9.3',
      '2.8.2',
      '40 s',
      '0.25 s and 0.31 CPU-s',
      '0.03 s and 0.02 CPU-s',
    ])
      expect(text).to.include(fact);
    expect(text).to.not.match(/\/home|\/root|\/tmp|\b20\d\d-\d\d/);
  });
});
