import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { packageVersion, userAgent } from '../../lib/distribution/user-agent.js';

describe('the user agent', () => {
  it('names the version that package.json has', () => {
    const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      readonly version: string;
    };
    expect(packageVersion).to.equal(manifest.version);
    expect(userAgent).to.equal(`pull-failover/${manifest.version}`);
  });
});
