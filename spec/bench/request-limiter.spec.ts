import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { expect } from 'chai';
import { createAllowance, startRequestLimiter } from '../../bench/request-limiter.js';
import { seededImage, startRegistryDouble } from '../../lib/testing/index.js';
import { createAuthority } from '../support/tls.js';

describe('the limit of requests of a redirecting registry', () => {
  it('lets as many pass at once as in a second, and then one for each part of a second', () => {
    const isAllowed = createAllowance(5);
    const atOnce = Array.from({ length: 7 }, () => isAllowed(0));
    expect(atOnce).to.deep.equal([true, true, true, true, true, false, false]);
    expect([isAllowed(199), isAllowed(200), isAllowed(201)]).to.deep.equal([false, true, false]);
  });

  it('saves up no more than those of one second', () => {
    const isAllowed = createAllowance(2);
    expect([isAllowed(0), isAllowed(0), isAllowed(60_000), isAllowed(60_000), isAllowed(60_000)]).to.deep.equal([
      ...[true, true, true, true, false],
    ]);
  });

  it('passes on what the registry says, redirects too, and counts what it refuses', async () => {
    const authority = createAuthority();
    const tls = authority.issue(['127.0.0.1']);
    const image = seededImage({ bytes: 10_000 });
    await using registry = await startRegistryDouble({ images: { 'bench/image:1': image }, tls, redirects: true });
    const limiter = await startRequestLimiter(registry.url, { ...tls, ca: authority.ca, requestsPerSecond: 1 });
    const ask = async (): Promise<IncomingMessage> => {
      const path = `/v2/bench/image/blobs/${image.config.digest}`;
      const headers = { accept: '*/*', 'accept-encoding': 'identity' };
      const asked = get(`https://${limiter.host}${path}`, { ca: authority.ca, agent: false, headers });
      const [answer] = (await once(asked, 'response')) as [IncomingMessage];
      answer.resume();
      return answer;
    };
    try {
      const answers = await Promise.all([ask(), ask()]);
      expect(answers.map(({ statusCode }) => statusCode)).to.have.members([307, 429]);
      const redirect = answers.find(({ statusCode }) => statusCode === 307);
      expect(redirect?.headers.location).to.match(new RegExp(`^${registry.storageUrl}/`));
      expect(limiter.refusals).to.equal(1);
      expect(registry.violations).to.deep.equal([]);
    } finally {
      await limiter.close();
    }
  });
});
