import { expect } from 'chai';
import { shareRuns, shareRunsOf } from '../../../lib/engine/layout/shared-run.js';

describe('Shared runs', () => {
  it('are one for all who ask while another one is under way, and begin after they asked', async () => {
    let events = 0;
    let runs = 0;
    const look = shareRuns(async () => {
      runs += 1;
      const seen = events;
      await new Promise((resolve) => setImmediate(resolve));
      return seen;
    });
    const asked = [];
    for (; events < 5; events += 1) asked.push(look());
    expect(await Promise.all(asked)).to.deep.equal([0, 5, 5, 5, 5]);
    expect(runs).to.equal(2);
    expect(await look()).to.equal(5);
  });

  it('that fail do so for those who shared them, and not for the next', async () => {
    let runs = 0;
    const work = shareRuns(async () => {
      runs += 1;
      if (runs < 3) throw new Error(`run ${runs}`);
      return runs;
    });
    const outcomes = await Promise.allSettled([work(), work(), work()]);
    expect(outcomes.map((one) => (one.status === 'rejected' ? String(one.reason) : one.value))).to.deep.equal([
      'Error: run 1',
      'Error: run 2',
      'Error: run 2',
    ]);
    expect(await work()).to.equal(3);
  });

  it('of a key are shared by those who ask for that key, and are anew for the next', async () => {
    const runs: string[] = [];
    const look = shareRunsOf(async (key: string) => {
      const run = runs.push(key);
      await new Promise((resolve) => setImmediate(resolve));
      return `${key}${run}`;
    });
    expect(await Promise.all([look('a'), look('b'), look('a'), look('a')])).to.deep.equal(['a1', 'b2', 'a3', 'a3']);
    expect(runs).to.deep.equal(['a', 'b', 'a']);
    expect(await look('a')).to.equal('a4');
  });
});
