import { expect } from 'chai';
import { abortable } from '../../lib/policy/deadline.js';
import { startSharedTask, type SharedTask } from '../../lib/policy/shared-task.js';

describe('a shared task', () => {
  let signal: AbortSignal;
  let finish: (value: string) => void;
  let fail: (error: unknown) => void;
  let over: number;
  let task: SharedTask<string>;

  beforeEach(() => {
    over = 0;
    task = startSharedTask(
      (given) =>
        new Promise((resolve, reject) => {
          [signal, finish, fail] = [given, resolve, reject];
        }),
      'nobody wants it',
      () => {
        over += 1;
      },
    );
  });

  const wait = (caller: AbortController): Promise<unknown> =>
    task.attend((result) => abortable(result, caller.signal)).catch((error: unknown) => error);

  it('gives its result to all who take part, and is over then', async () => {
    const both = Promise.all([wait(new AbortController()), wait(new AbortController())]);
    expect(over).to.equal(0);
    finish('done');
    expect(await both).to.deep.equal(['done', 'done']);
    expect(over).to.be.at.least(1);
  });

  it('goes on while anybody takes part, and is over and aborted when the last one leaves', async () => {
    const [first, second] = [new AbortController(), new AbortController()];
    const waiting = [wait(first), wait(second)];
    first.abort('one');
    expect(await waiting[0]).to.equal('one');
    expect([over, signal.aborted]).to.deep.equal([0, false]);
    second.abort('two');
    expect(await waiting[1]).to.equal('two');
    expect([over, signal.aborted]).to.deep.equal([1, true]);
    expect(signal.reason).to.have.property('message', 'nobody wants it');
  });

  it('is over before its work hears of it, so that nobody joins what is being ended', async () => {
    const seen: number[] = [];
    signal.addEventListener('abort', () => seen.push(over));
    const caller = new AbortController();
    const waiting = wait(caller);
    caller.abort('gone');
    await waiting;
    expect(seen).to.deep.equal([1]);
  });

  it('may fail when nobody waits any more', async () => {
    const caller = new AbortController();
    const waiting = wait(caller);
    caller.abort('gone');
    await waiting;
    fail(new Error('too late'));
    // An unhandled rejection would end the process in one of these turns.
    for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(over).to.be.at.least(1);
  });
});
