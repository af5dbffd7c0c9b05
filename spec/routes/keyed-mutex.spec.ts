import { expect } from 'chai';
import { createKeyedMutex } from '../../lib/routes/keyed-mutex.js';
import { failureOf } from '../support/failure-of.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a key that one at a time may have', () => {
  it('goes round in the order asked', async () => {
    const mutex = createKeyedMutex();
    const order: number[] = [];
    const first = await mutex.acquire('key');
    const others = [1, 2, 3].map(async (name) => {
      const release = await mutex.acquire('key');
      order.push(name);
      await turn();
      release();
    });
    await turn();
    expect(order).to.deep.equal([]);
    first();
    await Promise.all(others);
    expect(order).to.deep.equal([1, 2, 3]);
  });

  it('holds nobody up who wants another one', async () => {
    const mutex = createKeyedMutex();
    await mutex.acquire('key');
    (await mutex.acquire('another'))();
  });

  it('is not waited for by one who gives up, and passes by him', async () => {
    const mutex = createKeyedMutex();
    const release = await mutex.acquire('key');
    const controller = new AbortController();
    const reason = new Error('given up');
    const waiting = failureOf(mutex.acquire('key', controller.signal));
    const next = mutex.acquire('key');
    controller.abort(reason);
    expect(await waiting).to.equal(reason);
    release();
    (await next)();
    expect(await failureOf(mutex.acquire('key', AbortSignal.abort(reason)))).to.equal(reason);
  });

  it('may be given back more than once', async () => {
    const mutex = createKeyedMutex();
    const release = await mutex.acquire('key');
    release();
    const second = await mutex.acquire('key');
    release();
    expect(mutex.tryAcquire('key')).to.equal(null);
    second();
  });

  it('can be asked for without waiting, which succeeds only where nobody has it or wants it', async () => {
    const mutex = createKeyedMutex();
    const release = mutex.tryAcquire('key');
    expect(release).to.not.equal(null);
    const next = mutex.acquire('key');
    release?.();
    expect(mutex.tryAcquire('key')).to.equal(null);
    (await next)();
    await turn();
    const again = mutex.tryAcquire('key');
    expect(again).to.not.equal(null);
  });
});
