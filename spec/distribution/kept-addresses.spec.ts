import { expect } from 'chai';
import { createKeptAddresses } from '../../lib/distribution/kept-addresses.js';
import { createTransport } from '../../lib/distribution/transport.js';
import { type FakeTime, startFakeTime } from '../support/fake-time.js';
import { failureOf } from '../support/failure-of.js';

describe('the addresses of registries', () => {
  let time: FakeTime;
  beforeEach(() => {
    time = startFakeTime();
  });
  afterEach(() => time.restore());
  const { signal } = new AbortController();
  const url = new URL('https://registry.example:5000');

  /** Answers one look-up after the other, and remembers the names. */
  function answering(...answers: readonly (readonly string[] | Error | 'never')[]) {
    const asked: string[] = [];
    const transport = createTransport({
      env: { HTTPS_PROXY: 'http://proxy.example:3128', NO_PROXY: '.example' },
      resolve: (name) => {
        const answer = answers[asked.push(name) - 1] ?? [];
        if (answer === 'never') return new Promise(() => {});
        if (answer instanceof Error) return Promise.reject(answer);
        return Promise.resolve(answer.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));
      },
    });
    return { asked, addresses: createKeptAddresses(transport) };
  }

  it('are looked up once for everybody, and again after half a minute', async () => {
    const { asked, addresses } = answering(['10.0.0.1', 'fd00::1'], ['10.0.0.2']);
    const both = await Promise.all([addresses.of(url, signal), addresses.of(url, signal)]);
    expect(both).to.deep.equal([
      ['10.0.0.1', 'fd00::1'],
      ['10.0.0.1', 'fd00::1'],
    ]);
    await time.passMs(29_999);
    expect(await addresses.of(url, signal)).to.deep.equal(['10.0.0.1', 'fd00::1']);
    await time.passMs(1);
    expect(await addresses.of(url, signal)).to.deep.equal(['10.0.0.2']);
    expect(asked).to.deep.equal(['registry.example', 'registry.example']);
  });

  it('are none where the name does not resolve, which is asked again soon', async () => {
    const { asked, addresses } = answering(new Error('ENOTFOUND'), ['10.0.0.1']);
    expect(await addresses.of(url, signal)).to.deep.equal([]);
    expect(await addresses.of(url, signal)).to.deep.equal([]);
    expect(asked).to.have.length(1);
    await time.passMs(5_000);
    expect(await addresses.of(url, signal)).to.deep.equal(['10.0.0.1']);
  });

  it('are waited for two seconds at most, and not for longer than somebody wants them', async () => {
    const { addresses } = answering('never', 'never');
    const asked = addresses.of(url, signal);
    const leaving = new AbortController();
    const left = failureOf(addresses.of(url, leaving.signal));
    leaving.abort('enough');
    expect(await left).to.equal('enough');
    let found: readonly string[] | null = null;
    void asked.then((addressesFound) => (found = addressesFound));
    await time.passMs(1_999);
    expect(found).to.equal(null);
    await time.passMs(2);
    expect(await asked).to.deep.equal([]);
  });

  it('are none where a proxy looks the name up', async () => {
    const { asked, addresses } = answering(['10.0.0.1']);
    expect(await addresses.of(new URL('https://quay.io'), signal)).to.deep.equal([]);
    expect(asked).to.deep.equal([]);
  });
});
