import { expect } from 'chai';
import { createTurns } from '../../lib/engine/turns.js';

const never = new AbortController().signal;

describe('Turns', () => {
  it('are given in the order they were asked for, and others’ keys do not wait', async () => {
    const turns = createTurns();
    const seen: string[] = [];
    const first = await turns.take('a', never);
    const rest = ['second', 'third'].map(async (name) => {
      const giveBack = await turns.take('a', never);
      seen.push(name);
      giveBack();
    });
    (await turns.take('b', never))();
    expect(seen).to.deep.equal([]);
    first();
    await Promise.all(rest);
    expect(seen).to.deep.equal(['second', 'third']);
  });

  it('given back twice count once', async () => {
    const turns = createTurns();
    const first = await turns.take('a', never);
    const second = turns.take('a', never);
    const third = turns.take('a', never);
    first();
    first();
    const giveBack = await second;
    let entered = false;
    void third.then(() => (entered = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(entered).to.equal(false);
    giveBack();
    await third;
  });

  it('are not waited for by those who abort, nor by those who had aborted', async () => {
    const turns = createTurns();
    const reason = new Error('enough');
    const abort = new AbortController();
    const first = await turns.take('a', never);
    const leaving = turns.take('a', abort.signal).catch((error: unknown) => error);
    const staying = turns.take('a', never);
    abort.abort(reason);
    expect(await leaving).to.equal(reason);
    expect(await turns.take('b', abort.signal).catch((error: unknown) => error)).to.equal(reason);
    first();
    (await staying)();
    (await turns.take('a', never))();
  });

  it('end with the error they are closed with', async () => {
    const turns = createTurns();
    const closed = new Error('closed');
    const giveBack = await turns.take('a', never);
    const waiting = turns.take('a', never).catch((error: unknown) => error);
    turns.close(closed);
    giveBack();
    expect(await waiting).to.equal(closed);
    expect(await turns.take('b', never).catch((error: unknown) => error)).to.equal(closed);
  });
});
