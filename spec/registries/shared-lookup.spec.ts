import { getEventListeners } from 'node:events';
import { expect } from 'chai';
import { shareLookup, type SharedLookup } from '../../lib/registries/shared-lookup.js';
import { startFakeTime, type FakeTime } from '../support/fake-time.js';
import { failureOf } from '../support/failure-of.js';

interface Asked {
  readonly signal: AbortSignal;
  readonly fresh: boolean;
  readonly answer: (value: string) => void;
  readonly fail: (error: unknown) => void;
}

describe('a shared lookup', () => {
  const late = new Error('late');
  let time: FakeTime;
  let asked: Asked[];
  let lookup: SharedLookup<string>;

  beforeEach(() => {
    time = startFakeTime();
    asked = [];
    lookup = shareLookup(
      (signal, fresh) =>
        new Promise((answer, fail) => {
          asked.push({ signal, fresh, answer, fail });
        }),
      { reuseMs: 1000, limitMs: 5000, late: () => late },
    );
  });

  afterEach(() => {
    time.restore();
  });

  it('asks once for all who wait meanwhile', async () => {
    const waiting = [lookup.get(), lookup.get(), lookup.get({ signal: new AbortController().signal })];
    expect(asked).to.have.length(1);
    asked[0]?.answer('a');
    expect(await Promise.all(waiting)).to.deep.equal(['a', 'a', 'a']);
  });

  it('uses an answer again for its time and no longer', async () => {
    const first = lookup.get();
    asked[0]?.answer('a');
    await first;
    await time.passMs(999);
    expect(await lookup.get()).to.equal('a');
    await time.passMs(1);
    const second = lookup.get();
    expect(asked).to.have.length(2);
    asked[1]?.answer('b');
    expect(await second).to.equal('b');
  });

  it('does not keep a failure', async () => {
    const failure = new Error('no');
    const first = lookup.get();
    asked[0]?.fail(failure);
    expect(await failureOf(first)).to.equal(failure);
    const second = lookup.get();
    asked[1]?.answer('b');
    expect(await second).to.equal('b');
  });

  it('asks again for a fresh answer, although one is kept or under way', async () => {
    const stale = lookup.get();
    const fresh = lookup.get({ fresh: true });
    const alsoFresh = lookup.get({ fresh: true });
    expect(asked.map((each) => each.fresh)).to.deep.equal([false, true]);
    asked[1]?.answer('new');
    expect(await Promise.all([fresh, alsoFresh])).to.deep.equal(['new', 'new']);
    asked[0]?.answer('old');
    expect(await stale).to.equal('old');
    expect(await lookup.get(), 'the older answer, arriving later').to.equal('new');
    const again = lookup.get({ fresh: true });
    asked[2]?.answer('newer');
    expect(await again).to.equal('newer');
    expect(await lookup.get()).to.equal('newer');
  });

  it('lets an unhurried waiter join a fresh lookup', async () => {
    const waiting = [lookup.get({ fresh: true }), lookup.get()];
    expect(asked).to.have.length(1);
    asked[0]?.answer('a');
    expect(await Promise.all(waiting)).to.deep.equal(['a', 'a']);
  });

  it('lets one waiter leave at once with its own reason, and goes on for the others', async () => {
    const controller = new AbortController();
    const reason = { why: 'caller' };
    const leaving = failureOf(lookup.get({ signal: controller.signal }));
    const staying = lookup.get();
    controller.abort(reason);
    expect(await leaving).to.equal(reason);
    expect(asked[0]?.signal.aborted).to.equal(false);
    asked[0]?.answer('a');
    expect(await staying).to.equal('a');
  });

  it('is aborted when the last waiter has left, and not joined afterwards', async () => {
    const first = new AbortController();
    const second = new AbortController();
    const leaving = [failureOf(lookup.get({ signal: first.signal })), failureOf(lookup.get({ signal: second.signal }))];
    first.abort('one');
    second.abort('two');
    expect(await Promise.all(leaving)).to.deep.equal(['one', 'two']);
    expect(asked[0]?.signal.aborted).to.equal(true);
    const next = lookup.get();
    expect(asked).to.have.length(2);
    asked[1]?.answer('b');
    expect(await next).to.equal('b');
  });

  it('does not start for a waiter that has aborted already', async () => {
    expect(await failureOf(lookup.get({ signal: AbortSignal.abort('gone') }))).to.equal('gone');
    expect(asked).to.have.length(0);
  });

  it('ends at its limit, with the lookup aborted', async () => {
    const waiting = failureOf(lookup.get());
    await time.passMs(5000);
    expect(await waiting).to.equal(late);
    expect(asked[0]?.signal.aborted).to.equal(true);
    asked[0]?.answer('too late');
    const next = lookup.get();
    expect(asked).to.have.length(2);
    asked[1]?.answer('b');
    expect(await next).to.equal('b');
  });

  it('turns a lookup that throws at once into a rejection', async () => {
    const broken = shareLookup<string>(
      () => {
        throw late;
      },
      { reuseMs: 0, limitMs: 10, late: () => new Error('limit') },
    );
    expect(await failureOf(broken.get())).to.equal(late);
  });

  it('leaves no listener on the signal of a waiter, however it ends', async () => {
    const { signal } = new AbortController();
    const answered = lookup.get({ signal });
    asked[0]?.answer('a');
    await answered;
    const failing = failureOf(lookup.get({ signal, fresh: true }));
    asked[1]?.fail(new Error('no'));
    await failing;
    expect(getEventListeners(signal, 'abort')).to.have.length(0);
  });
});
