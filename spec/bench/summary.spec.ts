import { expect } from 'chai';
import { spreadOf, summarize, type Trial } from '../../bench/summary.js';

const trial = (seconds: number, more: Partial<Trial> = {}): Trial => ({
  ending: 'done',
  seconds,
  amounts: { cpuSeconds: seconds / 10, sentByA: 18e6 },
  ...more,
});

describe('the summary of a benchmark', () => {
  it('takes the middle of an odd number of values, and the mean of the two in the middle of an even one', () => {
    expect(spreadOf([5, 1, 30])).to.deep.equal({ median: 5, min: 1, max: 30 });
    expect(spreadOf([4, 1, 2, 30])).to.deep.equal({ median: 3, min: 1, max: 30 });
    expect(spreadOf([7])).to.deep.equal({ median: 7, min: 7, max: 7 });
  });

  it('sorts by size, not by spelling', () => {
    expect(spreadOf([9, 10, 100])).to.deep.equal({ median: 10, min: 9, max: 100 });
  });

  it('sums up nothing out of nothing', () => {
    expect(() => spreadOf([])).to.throw(RangeError);
    expect(() => summarize([])).to.throw(RangeError);
  });

  it('sums up each number of its own over all runs that succeeded', () => {
    const summary = summarize([trial(4), trial(2), trial(3, { amounts: { cpuSeconds: 0.3, sentByA: 20e6 } })]);
    expect(summary).to.deep.include({ ending: 'done', trials: 3, seconds: { median: 3, min: 2, max: 4 } });
    expect(summary).to.have.nested.property('amounts.sentByA.max', 20e6);
    expect(summary).to.have.nested.property('amounts.cpuSeconds.median', 0.3);
  });

  it('leaves open what no run measured, and takes what some did', () => {
    const summary = summarize([trial(1, { amounts: {} }), trial(2, { amounts: { rssGrowthBytes: 3e6 } })]);
    expect(summary).to.have.deep.property('amounts', { rssGrowthBytes: { median: 3e6, min: 3e6, max: 3e6 } });
  });

  it('tells runs that failed, hung or brought something else by their time alone', () => {
    const failed = summarize([trial(1, { ending: 'failed' }), trial(3, { ending: 'failed' })]);
    expect(failed).to.deep.equal({ ending: 'failed', trials: 2, seconds: { median: 2, min: 1, max: 3 } });
    expect(summarize([trial(40, { ending: 'stopped' })])).to.have.property('ending', 'stopped');
    expect(summarize([trial(40, { ending: 'wrong' })])).to.have.property('ending', 'wrong');
  });

  it('makes no median out of runs that ended in different ways', () => {
    const summary = summarize([trial(3), trial(1, { ending: 'failed' }), trial(3)]);
    expect(summary).to.deep.equal({ ending: 'mixed', trials: 3, done: 2 });
  });
});
