import { expect } from 'chai';
import { isInvalidOptionError } from '../../lib/errors/invalid-option-error.js';
import { openOptionBag, type OptionBag } from '../../lib/policy/option-bag.js';

function problemOf(read: () => unknown): { readonly option: string; readonly message: string } {
  try {
    read();
  } catch (error) {
    if (isInvalidOptionError(error)) return { option: error.option, message: error.message };
    throw error;
  }
  throw new Error('it was accepted');
}

const keys = ['ms', 'size', 'ratio', 'name', 'flag', 'mode', 'call', 'nested'];

function bagOf(values: unknown, path = 'top'): OptionBag {
  return openOptionBag(path, values, keys);
}

describe('an option bag', () => {
  it('reads what is there, and undefined for what is not', () => {
    const call = (): void => undefined;
    const bag = bagOf({ ms: 5, size: -3, ratio: 0.5, name: 'x', flag: false, mode: 'on', call, nested: { ms: 7 } });
    expect(bag.durationMs('ms')).to.equal(5);
    expect(bag.integer('size')).to.equal(-3);
    expect(bag.number('ratio')).to.equal(0.5);
    expect(bag.string('name')).to.equal('x');
    expect(bag.boolean('flag')).to.equal(false);
    expect(bag.oneOf('mode', ['on', 'off'])).to.equal('on');
    expect(bag.callback('call')).to.equal(call);
    expect(bag.bag('nested', ['ms']).durationMs('ms')).to.equal(7);
    expect(bag.has('flag')).to.equal(true);
    for (const empty of [bagOf(undefined), bagOf({}), bagOf({ ms: undefined })]) {
      expect(empty.has('ms')).to.equal(false);
      expect(empty.durationMs('ms')).to.equal(undefined);
      expect(empty.bag('nested', ['ms']).durationMs('ms')).to.equal(undefined);
    }
  });

  it('names the whole path of what is wrong', () => {
    expect(
      problemOf(() =>
        bagOf({ nested: { ms: 0 } })
          .bag('nested', ['ms'])
          .durationMs('ms'),
      ).option,
    ).to.equal('top.nested.ms');
    expect(problemOf(() => bagOf({ ms: 0 }, '').durationMs('ms')).option).to.equal('ms');
    expect(problemOf(() => bagOf(null, '')).message).to.equal('Option options must be an object, got null');
    expect(problemOf(() => bagOf([1, 2])).message).to.equal('Option top must be an object, got an array of 2');
  });

  it('refuses an unknown key, and says which are known', () => {
    expect(problemOf(() => openOptionBag('top', { stall: 4 }, ['stallMs', 'totalMs'])).message).to.equal(
      'Option top.stall is unknown (value 4); known here: stallMs, totalMs',
    );
    expect(problemOf(() => openOptionBag('', JSON.parse('{"__proto__":1}'), ['ms'])).option).to.equal('__proto__');
  });

  it('refuses every value out of range, and names it', () => {
    const table: readonly (readonly [string, (bag: OptionBag, key: string) => unknown, readonly unknown[]])[] = [
      ['ms', (bag, key) => bag.durationMs(key), [0, -1, 1.5, Number.NaN, Infinity, 2 ** 53, '5', null, true, 5n]],
      ['ms', (bag, key) => bag.durationMs(key, { infinity: true, max: 10 }), [0, 11, -Infinity]],
      ['size', (bag, key) => bag.integer(key, { min: 2, max: 4 }), [1, 5, 2.5, Infinity, '3']],
      ['ratio', (bag, key) => bag.number(key, { min: 0, max: 1 }), [-0.1, 1.1, Number.NaN, '0.5']],
      ['name', (bag, key) => bag.string(key), ['', 5, {}, null]],
      ['flag', (bag, key) => bag.boolean(key), ['true', 1, null]],
      ['mode', (bag, key) => bag.oneOf(key, ['on', 'off']), ['ON', '', 1, 'toString']],
      ['call', (bag, key) => bag.callback(key), ['f', {}, null]],
      ['nested', (bag, key) => bag.bag(key, ['ms']), [5, 'x', null, []]],
    ];
    for (const [key, read, values] of table) {
      for (const value of values) {
        const { option, message } = problemOf(() => read(bagOf({ [key]: value }), key));
        expect(option).to.equal(`top.${key}`);
        expect(message, String(value)).to.match(/ must be .*, got /);
      }
    }
  });

  it('accepts both ends of a range, and Infinity where it means no limit', () => {
    const bag = bagOf({ ms: Infinity, size: 2 });
    expect(bag.durationMs('ms', { infinity: true, max: 10 })).to.equal(Infinity);
    expect(bag.integer('size', { min: 2, max: 2 })).to.equal(2);
  });

  it('says what it wanted', () => {
    expect(problemOf(() => bagOf({ size: 9 }).integer('size', { min: 2, max: 4 })).message).to.equal(
      'Option top.size must be an integer of at least 2 and at most 4, got 9',
    );
    expect(problemOf(() => bagOf({ ms: 0 }).durationMs('ms', { infinity: true })).message).to.equal(
      'Option top.ms must be an integer number of milliseconds of at least 1 or Infinity, got 0',
    );
    expect(problemOf(() => bagOf({ mode: 'x' }).oneOf('mode', ['on', 'off'])).message).to.equal(
      `Option top.mode must be one of 'on', 'off', got "x"`,
    );
  });

  it('never shows what may be a secret: under a key that says so, in a URL, in an object', () => {
    const readings: readonly (() => unknown)[] = [
      () => openOptionBag('registries[0].credentials', { passwrod: 's3cr3t' }, ['username', 'password']),
      () => openOptionBag('registries[0].credentials', { pin: 's3cr3t' }, ['username', 'password']),
      () => openOptionBag('registries[0].credentials', { password: ['s3cr3t'] }, ['password']).string('password'),
      () => openOptionBag('registries[0]', { key: 's3cr3t' }, ['prefix']),
      () => openOptionBag('registries[0]', { key: 's3cr3t' }, ['key']).boolean('key'),
      () => openOptionBag('registries[0]', { credentials: 's3cr3t' }, ['credentials']).bag('credentials', []),
      () => openOptionBag('', { prefix: 'https://robot:s3cr3t@quay.io' }, []),
      () => openOptionBag('', { other: { password: 's3cr3t' } }, []),
      () => openOptionBag('', 'https://quay.io/?sig=s3cr3t', []),
      () => openOptionBag('', { token: 5318008 }, []),
    ];
    for (const read of readings) {
      const { message } = problemOf(read);
      expect(message).to.not.include('s3cr3t');
      expect(message).to.not.include('5318008');
    }
  });

  it('shortens a long value, and describes what cannot be shown', () => {
    const wrong = (value: unknown): string => problemOf(() => bagOf({ flag: value }).boolean('flag')).message;
    expect(wrong('word '.repeat(1_000)).length).to.be.below(200);
    expect(wrong(Symbol('s'))).to.include('got Symbol(s)');
    expect(wrong(() => 1)).to.include('got a function');
    expect(wrong({})).to.include('got an object with no keys');
    expect(wrong({ a: 1, b: 2 })).to.include('got an object with a, b');
    expect(wrong(Object.create(null))).to.include('got an object with no keys');
  });
});
