import { expect } from 'chai';
import { createSharedWork, type SharedWorkCaller } from '../../lib/distribution/shared-work.js';
import { failureOf } from '../support/failure-of.js';

describe('shared work', () => {
  let starts: { signal: AbortSignal; finish: (value: string) => void; fail: (error: unknown) => void }[] = [];
  beforeEach(() => {
    starts = [];
  });

  function caller(signal: AbortSignal = new AbortController().signal): SharedWorkCaller<string> {
    return {
      signal,
      start: (given, begun) =>
        new Promise((finish, fail) => {
          begun();
          starts.push({ signal: given, finish, fail });
        }),
      waitFor: (result, waiting) =>
        new Promise((resolve, reject) => {
          result.then(resolve, reject);
          waiting.addEventListener('abort', () => reject(waiting.reason), { once: true });
        }),
    };
  }

  it('is done once for all who want the same at the same time', async () => {
    const work = createSharedWork<string>();
    const both = Promise.all([work.join('a', caller()), work.join('a', caller())]);
    const other = work.join('b', caller());
    expect(starts).to.have.length(2);
    starts[0]?.finish('one');
    starts[1]?.finish('two');
    expect(await both).to.deep.equal(['one', 'one']);
    expect(await other).to.equal('two');
  });

  it('is started anew for whoever comes after its end, whatever that was', async () => {
    const work = createSharedWork<string>();
    const failed = work.join('a', caller());
    starts[0]?.fail(new Error('no'));
    await failureOf(failed);
    const again = work.join('a', caller());
    starts[1]?.finish('yes');
    expect(await again).to.equal('yes');
  });

  it('is not harmed by one who leaves', async () => {
    const work = createSharedWork<string>();
    const leaving = new AbortController();
    const left = work.join('a', caller(leaving.signal));
    const stays = work.join('a', caller());
    leaving.abort('gone');
    expect(await failureOf(left)).to.equal('gone');
    expect(starts[0]?.signal.aborted).to.equal(false);
    starts[0]?.finish('here');
    expect(await stays).to.equal('here');
  });

  it('is aborted when all have left, and joined by nobody then', async () => {
    const work = createSharedWork<string>();
    const [first, second] = [new AbortController(), new AbortController()];
    const both = [work.join('a', caller(first.signal)), work.join('a', caller(second.signal))];
    first.abort('1');
    second.abort('2');
    expect(await Promise.all(both.map(failureOf))).to.deep.equal(['1', '2']);
    expect(starts[0]?.signal.aborted).to.equal(true);
    const later = work.join('a', caller());
    expect(starts).to.have.length(2);
    starts[0]?.fail(new Error('aborted'));
    starts[1]?.finish('fresh');
    expect(await later).to.equal('fresh');
  });

  it('does not count the time before it has begun', async () => {
    const work = createSharedWork<string>();
    let begin: () => void = () => undefined;
    let waited = false;
    const result = work.join('a', {
      signal: new AbortController().signal,
      start: (_signal, begun) => {
        begin = begun;
        return new Promise((finish) => setImmediate(() => setImmediate(() => finish('x'))));
      },
      waitFor: (done) => {
        waited = true;
        return done;
      },
    });
    await Promise.resolve();
    expect(waited).to.equal(false);
    begin();
    expect(await result).to.equal('x');
    expect(waited).to.equal(true);
  });
});
