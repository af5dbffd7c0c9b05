import { expect } from 'chai';
import { byEngine, type EngineContender, throughRelay } from '../../bench/engines/contender.js';
import {
  type EngineResult,
  engineReportText,
  type EngineStanding,
  type EngineSurroundings,
} from '../../bench/engines/report.js';
import { type EngineScenario, engineScenarios } from '../../bench/engines/scenario.js';
import { summarize, type Trial } from '../../bench/summary.js';
import { readMarkdownTable } from '../house/markdown-table.js';

const surroundings: EngineSurroundings = {
  cores: 2,
  cpu: 'A processor',
  memoryBytes: 8 * 2 ** 30,
  loadBefore: 0.25,
  node: '20.20.2',
  tools: ['Docker 20.10.24', 'podman 4.3.1'],
  rounds: 3,
  capSeconds: null,
};

const done = (seconds: number, more: Partial<Trial> = {}): Trial => ({
  ending: 'done',
  seconds,
  cpuSeconds: 2,
  maxRssBytes: null,
  rssGrowthBytes: 50 * 2 ** 20,
  sentBytes: null,
  ...more,
});

const standing = (contender: EngineContender, ...trials: readonly Trial[]): EngineStanding => ({
  contender,
  summary: summarize(trials),
});
const own = (...trials: readonly Trial[]): EngineStanding => standing(throughRelay('ours', 'docker'), ...trials);
const engine = (...trials: readonly Trial[]): EngineStanding =>
  standing(byEngine('docker pull', 'docker', ['B'], 'healthy'), ...trials);

function resultOf(name: string, ...standings: readonly EngineStanding[]): EngineResult {
  return { scenario: scenarioNamed(name), blobBytes: 1e9, standings, leftOut: [] };
}

function scenarioNamed(wanted: string): EngineScenario {
  const scenario = engineScenarios.find(({ name }) => name === wanted);
  if (scenario === undefined) throw new Error(`there is no scenario ${wanted}`);
  return scenario;
}

function targetsOf(...results: readonly EngineResult[]): readonly (readonly string[])[] {
  return readMarkdownTable(engineReportText(results, surroundings), 'scenario').map((row) => row.slice(1));
}

describe('the report of pulls into engines', () => {
  it('tells what the relay costs as a multiple of the pull of the engine, per GB and at most', () => {
    const ours = own(done(4), done(5, { rssGrowthBytes: 80 * 2 ** 20 }), done(6));
    const text = engineReportText([resultOf('engine-loopback', ours, engine(done(4)))], surroundings);
    expect(readMarkdownTable(text, 'what')[0]?.slice(1)).to.deep.equal([
      'ours',
      '5.00 s (4.00–6.00)',
      '1.25',
      '200',
      '2.00',
      '80 MiB',
    ]);
    expect(text).to.not.include('The outage');
  });

  it('compares each engine with itself, and a tool without an engine with the first', () => {
    const result = resultOf(
      'engine-stall',
      own(done(8)),
      engine(done(4)),
      standing(throughRelay('ours, other store', 'containerd'), done(6)),
      standing(byEngine('docker pull, other store', 'containerd', ['B'], 'healthy'), done(2)),
      standing(byEngine('podman', 'podman', ['A', 'B']), done(12)),
    );
    const rows = readMarkdownTable(engineReportText([result], surroundings), 'registry A');
    expect(rows.map((row) => row[4])).to.deep.equal(['2.00', '1.00', '3.00', '1.00', '3.00']);
    expect(targetsOf(result)).to.deep.equal([
      ['Docker', '≤ docker pull + 5 s = 9.00 s', '8.00 s', 'yes'],
      ['Docker, containerd store', '≤ docker pull + 5 s = 7.00 s', '6.00 s', 'yes'],
    ]);
  });

  it('holds the pull to what is promised, and not a moment more', () => {
    const ratio = (seconds: number): unknown =>
      targetsOf(resultOf('engine-loopback', own(done(seconds)), engine(done(10))))[0];
    expect(ratio(11)).to.deep.equal(['Docker', '≤ 1.10 × docker pull', '1.10 ×', 'yes']);
    expect(ratio(11.2)).to.deep.equal(['Docker', '≤ 1.10 × docker pull', '1.12 ×', 'no']);
    const cpu = (cpuSeconds: number): unknown =>
      targetsOf(resultOf('engine-1gib', own(done(1, { cpuSeconds })), engine(done(1))))[0];
    expect(cpu(2.3)).to.deep.equal(['Docker', '≤ 2.3 CPU-s/GB, hashing included', '2.30', 'yes']);
    expect(cpu(2.5)).to.deep.equal(['Docker', '≤ 2.3 CPU-s/GB, hashing included', '2.50', 'no']);
    const memory = (mebibytes: number): unknown => {
      const ours = own(done(1), done(1, { rssGrowthBytes: mebibytes * 2 ** 20 }), done(1));
      return targetsOf(resultOf('engine-20-pulls', ours, engine(done(1))))[0];
    };
    expect(memory(100)).to.deep.equal(['Docker', 'memory grows by ≤ 100 MiB', '100 MiB at most', 'yes']);
    expect(memory(101)).to.deep.equal(['Docker', 'memory grows by ≤ 100 MiB', '101 MiB at most', 'no']);
  });

  it('meets no target with a pull that did not succeed, and tells who hangs by the limit of its scenario', () => {
    const hanging = done(20, { ending: 'stopped' });
    const result = resultOf('engine-stall', own(hanging), engine(done(4)));
    expect(targetsOf(result)).to.deep.equal([['Docker', 'the pull succeeds', 'it did not', 'no']]);
    const text = engineReportText([result], surroundings);
    expect(readMarkdownTable(text, 'registry A')[0]?.[2]).to.equal('hangs (stopped at 20 s)');
  });

  it('says with what it was measured, and who could not be for want of what', () => {
    const result = resultOf('engine-stall', own(done(8)), engine(done(4)));
    const leftOut = [{ title: 'podman, both', missing: 'podman (apt-get install podman)' }];
    const text = engineReportText([{ ...result, leftOut }, result], surroundings);
    for (const fact of [
      '3 rounds',
      '2 cores',
      'Docker 20.10.24, podman 4.3.1',
      '- podman, both: needs podman (apt-get',
    ])
      expect(text).to.include(fact);
    expect(engineReportText([result], surroundings)).to.not.include('Not measured');
  });
});
