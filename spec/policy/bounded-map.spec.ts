import { expect } from 'chai';
import { createBoundedMap } from '../../lib/policy/bounded-map.js';

describe('a bounded map', () => {
  it('forgets what was not used for longest', () => {
    const map = createBoundedMap<string, number>(2);
    map.set('a', 1);
    map.set('b', 2);
    expect(map.get('a')).to.equal(1);
    map.set('c', 3);
    expect([map.get('a'), map.get('b'), map.get('c')]).to.deep.equal([1, undefined, 3]);
    expect(map.size).to.equal(2);
  });

  it('shows what it holds without taking that for a use, and forgets all of it', () => {
    const map = createBoundedMap<string, number>(2);
    map.set('a', 1);
    map.set('b', 2);
    expect([...map.values()]).to.deep.equal([1, 2]);
    map.set('c', 3);
    expect([...map.values()]).to.deep.equal([2, 3]);
    map.clear();
    expect(map.size).to.equal(0);
    expect([...map.values()]).to.deep.equal([]);
  });

  it('replaces and deletes without growing', () => {
    const map = createBoundedMap<string, number>(2);
    map.set('a', 1);
    map.set('a', 2);
    expect(map).to.include({ size: 1 });
    expect(map.has('a')).to.equal(true);
    map.delete('a');
    expect(map.has('a')).to.equal(false);
    expect(map.get('a')).to.equal(undefined);
  });
});
