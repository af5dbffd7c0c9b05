import { getEventListeners } from 'node:events';
import { format } from 'node:util';
import createDebug from 'debug';
import { expect } from 'chai';
import fc from 'fast-check';
import { createEventBus, type EventBus, type PullEventDraft } from '../../lib/events/event-bus.js';
import type { PullEvent, PullEventOf } from '../../lib/events/pull-event.js';
import type { Attempt } from '../../lib/vocabulary/report.js';
import { startFakeTime } from '../support/fake-time.js';
import { failureOf } from '../support/failure-of.js';

const ofPull = { pullId: 'p-1', image: 'docker.io/library/redis:3.0', operation: null, engine: 'host-17' } as const;

function started(pullId = 'p-1'): PullEventDraft {
  return { ...ofPull, pullId, type: 'pull:started' };
}

function parked(): PullEventDraft {
  return { ...ofPull, type: 'pull:parked', phase: 'layers', reason: null, untilMs: null };
}

describe('the event bus', () => {
  let bus: EventBus;
  beforeEach(() => {
    bus = createEventBus();
  });

  it('gives each event to the listeners of its name, and all events to those of *', () => {
    const heard: string[] = [];
    bus.on('pull:started', (event) => heard.push(`started ${event.pullId}`));
    bus.on('pull:parked', (event) => heard.push(`parked in ${event.phase}`));
    bus.on('*', (event) => heard.push(`* ${event.type}`));
    bus.emit(started());
    bus.emit(parked());
    expect(heard).to.deep.equal(['started p-1', '* pull:started', 'parked in layers', '* pull:parked']);
  });

  it('numbers the events from one, also those that nobody heard, and dates them', () => {
    const time = startFakeTime(1_501_093_200_000);
    try {
      bus.emit(started());
      const heard: PullEvent[] = [];
      bus.on('*', (event) => heard.push(event));
      bus.emit(started());
      bus.emit(parked());
      expect(heard.map(({ seq, atMs }) => [seq, atMs])).to.deep.equal([
        [2, 1_501_093_200_000],
        [3, 1_501_093_200_000],
      ]);
    } finally {
      time.restore();
    }
  });

  it('gives a copy that is frozen to its last part, and leaves what it was given alone', () => {
    const operation = { kind: 'database', id: 'op-871' };
    const attempt: Attempt = {
      registry: 'quay.io/team',
      phase: 'layers',
      reason: { cause: 'registry-storage', code: 'stalled', message: 'no byte for 4000 ms' },
      verdict: 'ill',
      object: 'sha256:0',
      elapsedMs: 4_200,
      bytes: 6_000_000,
      atMs: 1_501_093_200_000,
    };
    const attempts = [attempt];
    let heard: PullEventOf<'pull:aborted'> | undefined;
    bus.on('pull:aborted', (event) => (heard = event));
    bus.emit({ ...ofPull, type: 'pull:aborted', operation, attempts });
    attempts.push(attempt);
    operation.id = 'another';
    expect(heard?.attempts).to.deep.equal([attempt]);
    expect(heard?.operation?.id).to.equal('op-871');
    const parts = [heard, heard?.attempts, heard?.attempts[0], heard?.attempts[0]?.reason, heard?.operation];
    for (const part of parts) expect(Object.isFrozen(part)).to.equal(true);
    expect([operation, attempts, attempt].some((given) => Object.isFrozen(given))).to.equal(false);
    expect(JSON.parse(JSON.stringify(heard))).to.deep.equal(heard);
  });

  it('stops calling a listener that was removed, by its handle or by itself', () => {
    const heard: string[] = [];
    const listener = (): number => heard.push('listener');
    const remove = bus.on('pull:started', () => heard.push('handle'));
    bus.on('pull:started', listener);
    bus.on('pull:started', listener);
    bus.on('*', listener);
    bus.emit(started());
    expect(heard).to.deep.equal(['handle', 'listener', 'listener', 'listener']);
    heard.length = 0;
    remove();
    remove();
    bus.off('pull:started', listener);
    bus.emit(started());
    expect(heard).to.deep.equal(['listener']);
  });

  it('removes one of two equal listeners by its own handle only', () => {
    let calls = 0;
    const listener = (): number => (calls += 1);
    const remove = bus.on('pull:started', listener);
    bus.on('pull:started', listener);
    remove();
    bus.emit(started());
    expect(calls).to.equal(1);
  });

  it('calls a listener of one event once only, also when it sets off the same event', () => {
    let calls = 0;
    bus.once('pull:started', () => {
      calls += 1;
      bus.emit(started());
    });
    bus.emit(started());
    bus.emit(started());
    expect(calls).to.equal(1);
  });

  it('forgets a listener of one event by its handle or by itself, before it is called', () => {
    const heard: string[] = [];
    const listener = (): number => heard.push('by itself');
    bus.once('pull:started', listener);
    bus.once('pull:started', () => heard.push('by handle'))();
    bus.off('pull:started', listener);
    bus.emit(started());
    expect(heard).to.deep.equal([]);
  });

  it('lets listeners come and go while it tells an event', () => {
    const heard: string[] = [];
    const removals: (() => void)[] = [];
    bus.on('pull:started', () => {
      heard.push('first');
      for (const remove of removals.splice(0)) remove();
      bus.on('pull:started', () => heard.push('late'));
    });
    removals.push(bus.on('pull:started', () => heard.push('removed')));
    bus.on('pull:started', () => heard.push('last'));
    bus.emit(started());
    expect(heard).to.deep.equal(['first', 'last']);
    heard.length = 0;
    bus.emit(started());
    expect(heard).to.deep.equal(['first', 'last', 'late']);
  });

  it('tells every listener the events in the order of their numbers, also those that a listener sets off', () => {
    const first: number[] = [];
    const all: number[] = [];
    bus.on('pull:started', (event) => {
      first.push(event.seq);
      if (event.pullId === 'p-1') {
        bus.emit(parked());
        bus.emit(started('p-2'));
      }
    });
    bus.on('*', (event) => all.push(event.seq));
    bus.emit(started());
    expect(first).to.deep.equal([1, 3]);
    expect(all).to.deep.equal([1, 2, 3]);
  });

  describe('whose listener fails', () => {
    const lines: string[] = [];
    const { log: printed } = createDebug;
    const unhandled: unknown[] = [];
    const noteUnhandled = (reason: unknown): number => unhandled.push(reason);
    let enabledBefore: string;

    beforeEach(() => {
      lines.length = 0;
      unhandled.length = 0;
      enabledBefore = createDebug.disable();
      createDebug.enable('pull-failover:events');
      createDebug.log = (...parts: readonly unknown[]) => {
        lines.push(format(...parts));
      };
      process.on('unhandledRejection', noteUnhandled);
    });
    afterEach(() => {
      process.off('unhandledRejection', noteUnhandled);
      createDebug.log = printed;
      createDebug.enable(enabledBefore);
    });

    const undescribable = Object.create(null, {
      toString: {
        value: () => {
          throw new Error('no words');
        },
      },
    }) as unknown;
    const failures: Readonly<Record<string, () => unknown>> = {
      throws: () => {
        throw new Error('token=s3cr3t');
      },
      rejects: () => Promise.reject(new Error('token=s3cr3t')),
      'rejects later': () => new Promise((_resolve, reject) => setImmediate(reject, new Error('token=s3cr3t'))),
      'throws what cannot be described': () => {
        throw undescribable;
      },
      'throws nothing at all': () => {
        throw undefined;
      },
      'returns a thing whose then throws': () => ({
        get then() {
          throw new Error('token=s3cr3t');
        },
      }),
    };
    for (const [how, fail] of Object.entries(failures)) {
      it(`logs it and tells the others, when it ${how}`, async () => {
        let others = 0;
        bus.on('pull:started', fail);
        bus.once('*', fail);
        bus.on('pull:started', () => (others += 1));
        bus.on('*', () => (others += 1));
        bus.emit(started());
        bus.emit(started());
        expect(others).to.equal(4);
        for (let turns = 0; turns < 5; turns += 1) await new Promise((resolve) => setImmediate(resolve));
        expect(lines).to.have.length(3);
        expect(lines[0]).to.match(/p-1 a listener failed type=pull:started seq=1/);
        expect(lines.join()).to.not.include('s3cr3t');
        expect(unhandled).to.deep.equal([]);
      });
    }
  });

  describe('waited for', () => {
    it('gives the next event of a name', async () => {
      const next = bus.waitFor('pull:parked');
      bus.emit(started());
      bus.emit(parked());
      expect((await next).phase).to.equal('layers');
    });

    it('gives the first event that the filter takes, and asks it no more', async () => {
      let asked = 0;
      const next = bus.waitFor('*', {
        filter: (event) => {
          asked += 1;
          return event.seq === 3;
        },
      });
      for (let count = 0; count < 5; count += 1) bus.emit(started());
      expect((await next).seq).to.equal(3);
      expect(asked).to.equal(3);
    });

    it("rejects with the signal's own reason, and leaves nothing behind", async () => {
      const controller = new AbortController();
      const reason = new Error('enough');
      let asked = 0;
      const filter = (): boolean => {
        asked += 1;
        return false;
      };
      const waiting = failureOf(bus.waitFor('pull:started', { signal: controller.signal, filter }));
      bus.emit(started());
      controller.abort(reason);
      expect(await waiting).to.equal(reason);
      expect(await failureOf(bus.waitFor('pull:started', { signal: controller.signal, filter }))).to.equal(reason);
      bus.emit(started());
      expect(asked).to.equal(1);
      expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
    });

    it('leaves no listener on the signal when the event came, or the filter failed', async () => {
      const { signal } = new AbortController();
      const failure = new Error('filter');
      const next = bus.waitFor('pull:started', { signal });
      const failed = failureOf(
        bus.waitFor('pull:started', {
          signal,
          filter: () => {
            throw failure;
          },
        }),
      );
      expect(getEventListeners(signal, 'abort')).to.have.length(2);
      bus.emit(started());
      await next;
      expect(await failed).to.equal(failure);
      expect(getEventListeners(signal, 'abort')).to.have.length(0);
    });
  });

  it('calls, whatever comes and goes, each listener exactly for what was emitted while it was there', () => {
    type Step = { readonly do: 'on' | 'once' | 'remove' | 'emit'; readonly which: number };
    const steps = fc.array(fc.record<Step>({ do: fc.constantFrom('on', 'once', 'remove', 'emit'), which: fc.nat(4) }), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(steps, (script) => {
        const events = createEventBus();
        const present = new Map<number, { readonly remove: () => void; readonly once: boolean }>();
        const heard: string[] = [];
        const expected: string[] = [];
        let seq = 0;
        for (const step of script) {
          if (step.do === 'remove') {
            present.get(step.which)?.remove();
            present.delete(step.which);
          } else if (step.do === 'emit') {
            events.emit(started());
            seq += 1;
            for (const [which, { once }] of [...present]) {
              expected.push(`${which}:${seq}`);
              if (once) present.delete(which);
            }
          } else if (!present.has(step.which)) {
            const remove = events[step.do]('pull:started', (event) => heard.push(`${step.which}:${event.seq}`));
            present.set(step.which, { remove, once: step.do === 'once' });
          }
        }
        expect(heard).to.deep.equal(expected);
      }),
    );
  });
});
