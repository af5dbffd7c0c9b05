import { expect } from 'chai';
import { recentlyUsed } from '../../lib/registries/recently-used.js';

describe('what was used recently', () => {
  it('is made once per key, and forgotten when 256 others were used since', () => {
    const made: string[] = [];
    const entries = recentlyUsed((key) => {
      made.push(key);
      return { key };
    });
    const first = entries.of('first');
    for (let other = 0; other < 255; other += 1) entries.of(`other-${other}`);
    expect(entries.of('first'), 'one of the 256 used last').to.equal(first);
    expect(made).to.have.length(256);
    for (let other = 0; other < 256; other += 1) entries.of(`another-${other}`);
    expect(entries.of('first')).to.not.equal(first);
    expect(made).to.have.length(256 + 256 + 1);
  });
});
