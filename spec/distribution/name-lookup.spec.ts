import { expect } from 'chai';
import { createNameLookup } from '../../lib/distribution/name-lookup.js';
import { createReachWitness } from '../../lib/distribution/reach-witness.js';
import { turns } from './rig.js';
import { failureOf } from '../support/failure-of.js';

const never = new AbortController().signal;

describe('a look-up', () => {
  it('is asked once by many, and again by whoever comes later', async () => {
    let asked = 0;
    const lookup = createNameLookup(createReachWitness(), async () => {
      asked += 1;
      await new Promise((resolve) => setImmediate(resolve));
      return [{ address: '127.0.0.1', family: 4 }];
    });
    await Promise.all([lookup('a', never), lookup('a', never)]);
    expect(asked).to.equal(1);
    await lookup('a', never);
    expect(asked).to.equal(2);
  });
  it('is left by an abort at once, which harms nobody else', async () => {
    let answer: (addresses: []) => void = () => undefined;
    const lookup = createNameLookup(createReachWitness(), () => new Promise((resolve) => (answer = resolve)));
    const leaving = new AbortController();
    const left = lookup('a', leaving.signal);
    const stays = lookup('a', never);
    leaving.abort('gone');
    expect(await failureOf(left)).to.equal('gone');
    await new Promise((resolve) => setImmediate(resolve));
    answer([]);
    expect(await stays).to.deep.equal([]);
  });
  it('never holds more than three threads', async () => {
    let running = 0;
    let most = 0;
    const lookup = createNameLookup(createReachWitness(), async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return [];
    });
    await Promise.all(Array.from({ length: 20 }, (_, index) => lookup(`host-${index}`, never)));
    expect(most).to.equal(3);
  });
  it('that nobody waits for any more is not begun, and holds up nobody', async () => {
    const asked: string[] = [];
    const ends: (() => void)[] = [];
    const lookup = createNameLookup(createReachWitness(), (name) => {
      asked.push(name);
      return new Promise((resolve) => ends.push(() => resolve([])));
    });
    const leaving = new AbortController();
    const left = Array.from({ length: 20 }, (_, index) => failureOf(lookup(`dead-${index}`, leaving.signal)));
    const wanted = lookup('alive', never);
    await turns(1);
    leaving.abort('gone');
    expect(new Set(await Promise.all(left))).to.deep.equal(new Set(['gone']));
    const again = lookup('dead-19', never);
    for (let count = 0; count < 5; count += 1) {
      for (const end of ends.splice(0)) end();
      await turns(1);
    }
    expect(await Promise.all([wanted, again])).to.deep.equal([[], []]);
    expect(asked).to.deep.equal(['dead-0', 'dead-1', 'dead-2', 'alive', 'dead-19']);
  });
  it('that fails is told to the witness', async () => {
    const witness = createReachWitness();
    const lookup = createNameLookup(witness, () => Promise.reject(new Error('no')));
    await failureOf(lookup('a', never));
    await failureOf(lookup('b', never));
    expect(witness.scopeOf('b')).to.equal('all');
  });
});
