import { expect } from 'chai';
import { monotonicMs } from '../../lib/clock/time.js';
import { createReach } from '../../lib/distribution/reach.js';
import { createReachWitness } from '../../lib/distribution/reach-witness.js';
import { startFakeTime, type FakeTime } from '../support/fake-time.js';

describe('the witness of what is reached', () => {
  let time: FakeTime;
  beforeEach(() => {
    time = startFakeTime();
  });
  afterEach(() => time.restore());

  it('blames nobody as long as it knows of one alone, however often that one is not reached', () => {
    const witness = createReachWitness();
    witness.unreached('a', monotonicMs());
    witness.unreached('a', monotonicMs());
    expect(witness.scopeOf('a')).to.equal('unproven');
  });

  it('blames the network when two were not reached and nobody was since', () => {
    const witness = createReachWitness();
    witness.unreached('a', monotonicMs());
    witness.unreached('b', monotonicMs());
    expect([witness.scopeOf('a'), witness.scopeOf('b')]).to.deep.equal(['all', 'all']);
  });

  it('blames the network at once when it fails after everybody had been reached', async () => {
    const witness = createReachWitness();
    for (const what of ['a', 'b', 'c']) witness.reached(what);
    await time.passMs(10);
    witness.unreached('a', monotonicMs());
    expect(witness.scopeOf('a'), 'nobody else was tried since').to.equal('unproven');
    witness.unreached('b', monotonicMs());
    expect(witness.scopeOf('b')).to.equal('all');
  });

  it('blames the one that is not reached where others are, after it or while it was tried', async () => {
    const after = createReachWitness();
    after.unreached('a', monotonicMs());
    after.reached('b');
    expect(after.scopeOf('a')).to.equal('one');

    const meanwhile = createReachWitness();
    const sinceMs = monotonicMs();
    await time.passMs(10);
    meanwhile.reached('b');
    await time.passMs(10);
    meanwhile.unreached('a', sinceMs);
    expect(meanwhile.scopeOf('a')).to.equal('one');
  });

  it('takes nobody for proof against itself', async () => {
    const witness = createReachWitness();
    const sinceMs = monotonicMs();
    await time.passMs(10);
    witness.reached('a');
    await time.passMs(10);
    witness.unreached('a', sinceMs);
    expect(witness.scopeOf('a')).to.equal('unproven');
    witness.reached('a');
    witness.unreached('a', monotonicMs());
    expect(witness.scopeOf('a')).to.equal('unproven');
  });

  it('lets no host that is known to be down speak for the network', async () => {
    const witness = createReachWitness();
    witness.unreached('down', monotonicMs());
    witness.reached('b');
    await time.passMs(10);
    witness.unreached('down', monotonicMs());
    witness.unreached('b', monotonicMs());
    expect([witness.scopeOf('down'), witness.scopeOf('b')]).to.deep.equal(['one', 'unproven']);
  });

  it('forgives one that is reached again', async () => {
    const witness = createReachWitness();
    witness.unreached('a', monotonicMs());
    witness.reached('b');
    witness.reached('a');
    await time.passMs(10);
    witness.unreached('a', monotonicMs());
    expect(witness.scopeOf('a')).to.equal('unproven');
  });

  it('forgets tries in vain after a minute, and who was blamed after five', async () => {
    const witness = createReachWitness();
    witness.unreached('a', monotonicMs());
    await time.passMs(60_000);
    witness.unreached('b', monotonicMs());
    expect(witness.scopeOf('b')).to.equal('unproven');
    witness.reached('c');
    expect([witness.scopeOf('a'), witness.scopeOf('b')]).to.deep.equal(['one', 'one']);
    await time.passMs(299_000);
    expect(witness.scopeOf('b')).to.equal('one');
    await time.passMs(1_000);
    expect(witness.scopeOf('b')).to.equal('unproven');
  });

  it('remembers a bounded number of them', () => {
    const witness = createReachWitness();
    for (let count = 0; count < 1_000; count += 1) witness.unreached(`tenant-${count}`, monotonicMs());
    expect(witness.scopeOf('tenant-999')).to.equal('all');
    witness.reached('b');
    expect(witness.scopeOf('tenant-0')).to.equal('unproven');
    expect(witness.scopeOf('tenant-999')).to.equal('one');
  });

  it('says whether anything was reached in the last minute', async () => {
    const witness = createReachWitness();
    expect(witness.reachesAnything).to.equal(false);
    witness.reached('a');
    expect(witness.reachesAnything).to.equal(true);
    await time.passMs(60_000);
    expect(witness.reachesAnything).to.equal(false);
  });
});

describe('what is known of a try to reach a host', () => {
  const begin = (reach: ReturnType<typeof createReach>, url: string): ReturnType<typeof reach.begin> =>
    reach.begin(new URL(url));

  it('takes a host without an address and one without a connection together for this host’s network', () => {
    const reach = createReach();
    expect(begin(reach, 'https://a.example').unresolved('failed').scope).to.equal('unproven');
    expect(begin(reach, 'https://10.0.0.1').unreached('timed-out', 0)).to.deep.equal({
      kind: 'connection',
      code: 'timed-out',
      reused: false,
      bytes: 0,
      lateMs: 0,
      scope: 'all',
    });
    expect(begin(reach, 'https://a.example').unresolved('failed').scope).to.equal('all');
  });

  it('counts the ports of one name as one host, those of one address as several', () => {
    const named = createReach();
    begin(named, 'https://a.example').unreached('timed-out', 0);
    expect(begin(named, 'https://a.example:5000').unreached('timed-out', 0).scope).to.equal('unproven');
    const numbered = createReach();
    begin(numbered, 'https://10.0.0.1').unreached('unreachable', 0);
    expect(begin(numbered, 'https://10.0.0.1:5000').unreached('unreachable', 0).scope).to.equal('all');
  });

  it('says nothing of a scope where others are reached', () => {
    const reach = createReach();
    begin(reach, 'https://10.0.0.1').unreached('timed-out', 0);
    begin(reach, 'https://10.0.0.2').reached();
    expect(begin(reach, 'https://10.0.0.1').unreached('timed-out', 0)).to.not.have.property('scope');
  });

  it('takes “there is no such name” for an answer, unless it is the only one to whatever is asked', () => {
    const reach = createReach();
    const notFound = (name: string): string => {
      reach.names.unreached(name, monotonicMs());
      return begin(reach, `https://${name}`).unresolved('not-found').scope;
    };
    expect(notFound('a.example')).to.equal('name');
    expect(notFound('b.example')).to.equal('all');
    reach.names.reached('c.example');
    expect(notFound('a.example')).to.equal('name');
    expect(notFound('d.example')).to.equal('name');
    expect(notFound('e.example'), 'names of a tenant who cannot spell').to.equal('name');
  });
});
