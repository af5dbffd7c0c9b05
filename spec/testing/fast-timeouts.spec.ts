import { expect } from 'chai';
import { resolveLimits } from '../../lib/policy/limits.js';
import { fastTimeouts } from '../../lib/testing/index.js';

describe('fast timeouts', () => {
  const limits = resolveLimits([{ path: 'timeouts', timeouts: fastTimeouts }]);

  it('are limits that contradict nothing', () => {
    expect(limits.layers).to.include(fastTimeouts.layers);
    expect(limits.lastCandidate).to.include(fastTimeouts.lastCandidate);
    expect(limits.metadata).to.include(fastTimeouts.metadata);
  });

  it('see a stall at two registries after each other within 2 s', () => {
    for (const { firstByteMs, stallMs } of [limits.layers, limits.lastCandidate]) {
      expect(limits.layers.stallMs + Math.max(firstByteMs, stallMs)).to.be.lessThan(2_000);
    }
    expect(limits.metadata.totalMs).to.be.lessThan(2_000);
    expect(limits.layers.windowMs).to.be.lessThan(2_000);
  });
});
