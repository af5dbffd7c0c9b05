import { expect } from 'chai';
import { createConnectionSlots, createShareOfSlots } from '../../lib/distribution/connection-slots.js';
import { failureOf } from '../support/failure-of.js';

const never = new AbortController().signal;

describe('connection slots', () => {
  it('are given out up to their number, then in the order asked for', async () => {
    const slots = createConnectionSlots(2);
    const first = await slots.acquire(never);
    await slots.acquire(never);
    const order: string[] = [];
    const third = slots.acquire(never).then((slot) => {
      order.push('third');
      return slot;
    });
    const fourth = slots.acquire(never).then(() => order.push('fourth'));
    expect(slots).to.include({ held: 2, waiting: 2 });
    first.release();
    (await third).release();
    await fourth;
    expect(order).to.deep.equal(['third', 'fourth']);
    expect(slots).to.include({ held: 2, waiting: 0 });
  });

  it('go to nobody twice, however often one is released', async () => {
    const slots = createConnectionSlots(1);
    const slot = await slots.acquire(never);
    slot.release();
    slot.release();
    expect(slots.held).to.equal(0);
    await slots.acquire(never);
    slot.release();
    expect(slots.held).to.equal(1);
  });

  it("are no longer waited for after an abort, which rejects with the signal's own reason", async () => {
    const slots = createConnectionSlots(1);
    const slot = await slots.acquire(never);
    const leaving = new AbortController();
    const left = slots.acquire(leaving.signal);
    const stays = slots.acquire(never);
    const reason = { why: 'mine' };
    leaving.abort(reason);
    expect(await failureOf(left)).to.equal(reason);
    expect(slots.waiting).to.equal(1);
    slot.release();
    await stays;
    expect(await failureOf(slots.acquire(leaving.signal))).to.equal(reason);
    expect(slots).to.include({ held: 1, waiting: 0 });
  });

  it('tell who waits for one, and who holds one', async () => {
    const slots = createConnectionSlots(1);
    const told: string[] = [];
    const slot = await slots.acquire(never, (holds) => told.push(`first ${holds}`));
    const second = slots.acquire(never, (holds) => told.push(`second ${holds}`));
    slot.release();
    await second;
    expect(told).to.deep.equal(['first true', 'second false', 'second true']);
  });

  it('leave no listener on a signal', async () => {
    const slots = createConnectionSlots(1);
    const { signal, listeners } = countedSignal();
    const slot = await slots.acquire(signal);
    const second = slots.acquire(signal);
    expect(listeners()).to.equal(1);
    slot.release();
    await second;
    expect(listeners()).to.equal(0);
  });
});

function countedSignal(): { readonly signal: AbortSignal; readonly listeners: () => number } {
  const { signal } = new AbortController();
  let count = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>): void => {
    count += 1;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>): void => {
    count -= 1;
    remove(...args);
  };
  return { signal, listeners: () => count };
}

describe('connection slots of which some may take only a part', () => {
  it('leave the rest to the others, who do not wait for them', async () => {
    const slots = createConnectionSlots(2);
    const share = createShareOfSlots(slots, 1);
    const first = await share.acquire(never);
    const told: boolean[] = [];
    const second = share.acquire(never, (holds) => told.push(holds));
    expect(share).to.include({ held: 1, waiting: 1 });
    (await slots.acquire(never)).release();
    expect(told).to.deep.equal([false]);
    first.release();
    (await second).release();
    expect(told).to.deep.equal([false, true]);
    expect([slots.held, share.held]).to.deep.equal([0, 0]);
  });

  it('give their place back when they leave while the whole is taken', async () => {
    const slots = createConnectionSlots(1);
    const share = createShareOfSlots(slots, 1);
    const slot = await slots.acquire(never);
    const leaving = new AbortController();
    const left = share.acquire(leaving.signal);
    leaving.abort('gone');
    expect(await failureOf(left)).to.equal('gone');
    slot.release();
    (await share.acquire(never)).release();
    expect([slots.held, share.held]).to.deep.equal([0, 0]);
  });
});
