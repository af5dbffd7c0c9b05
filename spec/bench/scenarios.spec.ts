import { expect } from 'chai';
import { scenarios } from '../../bench/scenarios.js';

describe('the scenarios of the comparison', () => {
  it('have a name of their own each, as have the contenders of each', () => {
    const names = scenarios.map(({ name }) => name);
    expect(new Set(names).size).to.equal(names.length);
    for (const { name, entrants } of scenarios) {
      const all = entrants.map(({ contender }) => contender.name);
      expect(new Set(all).size, name).to.equal(all.length);
    }
  });

  it('compare with nobody who does not take part', () => {
    for (const { name, reference, entrants } of scenarios) {
      const there = new Set(entrants.map(({ contender }) => contender.name));
      const named = entrants.flatMap(({ contender, reference: own = reference, targets }) => [
        own,
        ...(contender.controlOf === null ? [] : [contender.controlOf]),
        ...targets.flatMap((target) => ('of' in target ? [target.of] : [])),
      ]);
      expect(
        named.filter((one) => !there.has(one)),
        name,
      ).to.deep.equal([]);
    }
  });

  it('hold nobody but pull-failover to a target, and pull-failover to one in each but the healthy one', () => {
    const held = scenarios.flatMap(({ entrants }) => entrants.filter(({ targets }) => targets.length > 0));
    expect(held.every(({ contender }) => contender.isOurs)).to.equal(true);
    const without = scenarios.filter(({ entrants }) => entrants.every(({ targets }) => targets.length === 0));
    expect(without.map(({ name }) => name)).to.deep.equal(['healthy']);
  });

  it('know how long a link needs wherever that is what something is compared with', () => {
    for (const { name, bandwidth, chartUnit, entrants } of scenarios) {
      const needsLimit =
        chartUnit === 'limit' || entrants.some(({ targets }) => targets.some(({ kind }) => kind === 'times-limit'));
      if (needsLimit) expect(bandwidth?.totalBytesPerSecond, name).to.be.a('number');
    }
  });

  it('run the same tool twice wherever the ratio that is wanted is close to one', () => {
    const pairs = scenarios.filter(({ entrants }) => entrants.some(({ contender }) => contender.controlOf !== null));
    expect(pairs.map(({ name }) => name)).to.deep.equal([
      ...['healthy', 'loopback', 'fast-link', 'redirecting', 'one-gib'],
    ]);
  });
});
