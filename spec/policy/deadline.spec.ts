import { getEventListeners } from 'node:events';
import { expect } from 'chai';
import { abortable, deriveAbort, sleep, withDeadline } from '../../lib/policy/deadline.js';
import { startFakeTime, type FakeTime } from '../support/fake-time.js';
import { failureOf } from '../support/failure-of.js';

function listenersOf(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length;
}

describe('a derived abort', () => {
  it("forwards its parent's own reason", () => {
    const parent = new AbortController();
    const reason = { anything: true };
    const derived = deriveAbort(parent.signal);
    parent.abort(reason);
    expect(derived.signal.reason).to.equal(reason);
  });

  it('forwards the reason of a parent that was aborted before, and listens to none of the others', () => {
    const other = new AbortController();
    const reason = new Error('before');
    const derived = deriveAbort(other.signal, undefined, AbortSignal.abort(reason));
    expect(derived.signal.aborted).to.equal(true);
    expect(derived.signal.reason).to.equal(reason);
    expect(listenersOf(other.signal)).to.equal(0);
  });

  it('forwards null as the reason it is', () => {
    expect(deriveAbort(AbortSignal.abort(null)).signal.reason).to.equal(null);
  });

  it('does not abort its parents', () => {
    const parent = new AbortController();
    const derived = deriveAbort(parent.signal);
    derived.abort(new Error('only here'));
    expect(derived.signal.aborted).to.equal(true);
    expect(parent.signal.aborted).to.equal(false);
  });

  it('keeps the first reason', () => {
    const parent = new AbortController();
    const derived = deriveAbort(parent.signal);
    derived.abort('first');
    parent.abort('second');
    derived.abort('third');
    expect(derived.signal.reason).to.equal('first');
  });

  it('leaves no listener on any parent, whether it was disposed of, aborted or followed', () => {
    const ends: readonly ((derived: ReturnType<typeof deriveAbort>, parent: AbortController) => void)[] = [
      (derived) => derived[Symbol.dispose](),
      (derived) => derived.abort(new Error('own')),
      (_derived, parent) => parent.abort(),
    ];
    for (const end of ends) {
      const parents = [new AbortController(), new AbortController()] as const;
      const derived = deriveAbort(parents[0].signal, parents[1].signal);
      expect(parents.map((parent) => listenersOf(parent.signal))).to.deep.equal([1, 1]);
      end(derived, parents[1]);
      expect(parents.map((parent) => listenersOf(parent.signal))).to.deep.equal([0, 0]);
    }
  });

  it('no longer follows after it was disposed of', () => {
    const parent = new AbortController();
    const derived = deriveAbort(parent.signal);
    derived[Symbol.dispose]();
    parent.abort();
    expect(derived.signal.aborted).to.equal(false);
  });

  it('may be derived five hundred times from one signal without a warning', async () => {
    const warnings: Error[] = [];
    const heard = (warning: Error): number => warnings.push(warning);
    process.on('warning', heard);
    try {
      const parent = new AbortController();
      const derived = Array.from({ length: 500 }, () => deriveAbort(parent.signal));
      for (const each of derived) derived[0]?.signal.addEventListener('abort', () => each.abort('first'));
      await new Promise((resolve) => setImmediate(resolve));
      for (const each of derived.slice(0, 250)) each[Symbol.dispose]();
      parent.abort('all');
      expect(derived.map((each) => each.signal.aborted)).to.deep.equal(derived.map((_each, index) => index >= 250));
      expect(listenersOf(parent.signal)).to.equal(0);
      expect(warnings).to.deep.equal([]);
    } finally {
      process.off('warning', heard);
    }
  });
});

describe('abortable', () => {
  it('settles as the work does, and removes its listener', async () => {
    const { signal } = new AbortController();
    const failure = new Error('work');
    expect(await abortable(Promise.resolve(7), signal)).to.equal(7);
    expect(await failureOf(abortable(Promise.reject(failure), signal))).to.equal(failure);
    expect(await abortable(Promise.resolve(7), undefined)).to.equal(7);
    expect(listenersOf(signal)).to.equal(0);
  });

  it('rejects with the reason while the work goes on, and ignores how that ends', async () => {
    const controller = new AbortController();
    let fail: (error: Error) => void = () => undefined;
    const outcome = failureOf(
      abortable(
        new Promise((_resolve, reject) => {
          fail = reject;
        }),
        controller.signal,
      ),
    );
    controller.abort('enough');
    expect(await outcome).to.equal('enough');
    fail(new Error('later, heard by nobody'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(listenersOf(controller.signal)).to.equal(0);
  });

  it('rejects at once when the signal is aborted already, and swallows what the work does', async () => {
    const signal = AbortSignal.abort('before');
    expect(await failureOf(abortable(Promise.reject(new Error('work')), signal))).to.equal('before');
    expect(await failureOf(abortable(new Promise(() => undefined), signal))).to.equal('before');
    expect(listenersOf(signal)).to.equal(0);
  });
});

describe('sleeping and deadlines', () => {
  let time: FakeTime;
  beforeEach(() => {
    time = startFakeTime();
  });
  afterEach(() => time.restore());

  it('sleeps as long as it was told', async () => {
    let awake = false;
    const slept = sleep(1_000).then(() => (awake = true));
    await time.passMs(999);
    expect(awake).to.equal(false);
    await time.passMs(1);
    await slept;
    expect(awake).to.equal(true);
  });

  it('sleeps longer than setTimeout can, and forever at Infinity', async () => {
    const month = 31 * 24 * 3_600_000;
    const awake: string[] = [];
    const controller = new AbortController();
    void sleep(month).then(() => awake.push('month'));
    const forever = failureOf(sleep(Infinity, controller.signal));
    await time.passMs(month - 1);
    expect(awake).to.deep.equal([]);
    await time.passMs(1);
    expect(awake).to.deep.equal(['month']);
    controller.abort('up');
    expect(await forever).to.equal('up');
  });

  it("wakes with the signal's own reason, and leaves no listener behind", async () => {
    const controller = new AbortController();
    const reason = new Error('up');
    const woken = failureOf(sleep(60_000, controller.signal));
    expect(listenersOf(controller.signal)).to.equal(1);
    controller.abort(reason);
    expect(await woken).to.equal(reason);
    expect(await failureOf(sleep(60_000, controller.signal))).to.equal(reason);
    const other = new AbortController();
    const slept = sleep(10, other.signal);
    await time.passMs(10);
    await slept;
    expect([listenersOf(controller.signal), listenersOf(other.signal)]).to.deep.equal([0, 0]);
  });

  it('ends work at its deadline with the error made for it, and tells the work by its signal', async () => {
    const caller = new AbortController();
    const error = new Error('too late');
    let seen: AbortSignal | null = null;
    const outcome = failureOf(
      withDeadline({ ms: 5_000, signal: caller.signal, expired: () => error }, (signal) => {
        seen = signal;
        return new Promise(() => undefined);
      }),
    );
    await time.passMs(5_000);
    expect(await outcome).to.equal(error);
    expect(seen!.reason).to.equal(error);
    expect(listenersOf(caller.signal)).to.equal(0);
  });

  it('leaves work that is in time alone, and no timer or listener behind', async () => {
    const caller = new AbortController();
    let expired = 0;
    const deadline = { ms: 5_000, signal: caller.signal, expired: () => (expired += 1) };
    expect(await withDeadline(deadline, () => Promise.resolve('well'))).to.equal('well');
    const failure = new Error('work');
    expect(await failureOf(withDeadline(deadline, () => Promise.reject(failure)))).to.equal(failure);
    const thrown = failureOf(
      withDeadline(deadline, () => {
        throw failure;
      }),
    );
    expect(await thrown).to.equal(failure);
    await time.passMs(60_000);
    expect(expired).to.equal(0);
    expect(listenersOf(caller.signal)).to.equal(0);
  });

  it("rejects with the caller's own reason, and does not begin when it is there before", async () => {
    const caller = new AbortController();
    let begun = 0;
    const run = (): Promise<unknown> =>
      failureOf(
        withDeadline({ ms: Infinity, signal: caller.signal, expired: () => 'never' }, () => {
          begun += 1;
          return new Promise(() => undefined);
        }),
      );
    const running = run();
    caller.abort('enough');
    expect(await running).to.equal('enough');
    expect(await run()).to.equal('enough');
    expect(begun).to.equal(1);
  });
});
