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

  it('lets a value weigh more than another, and takes none that is too heavy', () => {
    const map = createBoundedMap<string, string>(10, (value) => value.length);
    map.set('a', '1234');
    map.set('b', '1234');
    expect(map.get('a')).to.equal('1234');
    map.set('c', '123');
    expect([...map.values()]).to.deep.equal(['1234', '123']);
    map.set('c', '123456');
    expect([...map.values()]).to.deep.equal(['1234', '123456']);
    map.delete('a');
    map.set('d', '1234');
    expect([...map.values()]).to.deep.equal(['123456', '1234']);
    map.set('e', '12345678901');
    expect(map.size).to.equal(0);
    map.set('f', '1234567890');
    expect(map.get('f')).to.equal('1234567890');
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
