import { expect } from 'chai';
import type { Relay } from '../../lib/relay/relay.js';
import { startRelay } from '../../lib/relay/start-relay.js';
import { failureOf } from '../support/failure-of.js';
import { ask, type PlainAnswer } from '../testing/plain-client.js';
import { loopback } from './support/relay-rig.js';

const longMs = 60_000;
const word = 'c0ffee-0123456789abcdef';

describe('the handshake with a daemon', () => {
  let relay: Relay;
  const { signal } = new AbortController();

  beforeEach(async () => {
    relay = await startRelay(loopback);
  });
  afterEach(() => relay.close());

  const knock = (path: string, agent?: string): Promise<PlainAnswer> =>
    ask(`http://${relay.address}${path}`, { headers: agent === undefined ? {} : { 'user-agent': agent } });
  const docker = `docker/20.10.24 go/go1.19 kernel/6 os/linux UpstreamClient(pull-failover-handshake/${word})`;

  for (const [what, path, agent] of [
    ['the path of a manifest', `/v2/pull-failover/handshake/${word}/manifests/probe`, undefined],
    ['the path of a repository', `/v2/pull-failover/handshake/${word}`, undefined],
    ['the name of the client', '/v2/', docker],
  ] as const) {
    it(`is heard in ${what}, and answered with nothing`, async () => {
      const heard = relay.heardOf(word, longMs, signal);
      const answer = await knock(path, agent);
      expect([answer.status, answer.headers['www-authenticate']]).to.deep.equal([404, undefined]);
      expect(await heard).to.equal(true);
    });
  }

  it('is remembered when it was heard before anybody asked', async () => {
    await knock(`/v2/pull-failover/handshake/${word}/manifests/probe`);
    expect(await relay.heardOf(word, 1, signal)).to.equal(true);
  });

  it('is heard by everybody who waits for the same word', async () => {
    const heard = [relay.heardOf(word, longMs, signal), relay.heardOf(word, longMs, signal)];
    await knock('/v2/', docker);
    expect(await Promise.all(heard)).to.deep.equal([true, true]);
  });

  it('is not heard in another word, nor after the time is over', async () => {
    const heard = relay.heardOf(word, 50, signal);
    await knock(`/v2/pull-failover/handshake/${word}0/manifests/probe`);
    await knock('/v2/', 'pull-failover-handshake/other');
    await knock(`/v2/x/handshake/${word}/manifests/probe`);
    expect(await heard).to.equal(false);
  });

  it('is not heard from a page in a browser', async () => {
    await ask(`http://${relay.address}/v2/`, { headers: { host: 'evil.example', 'user-agent': docker } });
    expect(await relay.heardOf(word, 1, signal)).to.equal(false);
  });

  it('is given up with the reason of whoever waits, at once', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const heard = relay.heardOf(word, longMs, controller.signal);
    controller.abort(reason);
    expect(await failureOf(heard)).to.equal(reason);
    expect(await failureOf(relay.heardOf(word, longMs, controller.signal))).to.equal(reason);
  });

  it('is not waited for any more when the relay is closed', async () => {
    const heard = relay.heardOf(word, longMs, signal);
    await relay.close();
    expect(await heard).to.equal(false);
    expect(await relay.heardOf(word, longMs, signal)).to.equal(false);
  });

  it('is remembered for the last words only, whoever says how many', async () => {
    for (let index = 0; index <= 64; index += 1) await knock(`/v2/pull-failover/handshake/word-${index}`);
    expect(await relay.heardOf('word-0', 1, signal)).to.equal(false);
    expect(await relay.heardOf('word-1', 1, signal)).to.equal(true);
    expect(await relay.heardOf('word-64', 1, signal)).to.equal(true);
  });
});
