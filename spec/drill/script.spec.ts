import { expect } from 'chai';
import { makeDrillImages } from '../../lib/drill/images.js';
import { ordinaryOrder, recovery, script } from '../../lib/drill/script.js';

describe('the script of the drill', () => {
  const orders = [
    ...script.flatMap(({ steps }) => steps.flat()),
    ...Array.from({ length: 30 }, (_, index) => ordinaryOrder(index)),
  ];

  it('gives each operation an id of its own', () => {
    expect(new Set(orders.map(({ id }) => id)).size).to.equal(orders.length);
  });

  it('asks for images that are there, and only builds for those that were never replicated', () => {
    const { replicated, neverReplicated } = makeDrillImages();
    for (const { id, kind, image } of orders) {
      const held = kind === 'build' ? neverReplicated : replicated;
      expect(held, id).to.have.property(`aptible/${image}`);
    }
    expect(Object.keys(neverReplicated)).to.have.length(2);
    expect(Object.keys(replicated)).to.not.include.members(Object.keys(neverReplicated));
  });

  it('begins and ends with a registry that is well, and fails it in its layers first, in its metadata later', () => {
    const groups = [...script, recovery].map(({ clock, faults }) => [
      clock,
      faults?.map(({ on }) => on) ?? 'as before',
    ]);
    expect(groups).to.deep.equal([
      ['17:40', []],
      ['18:20', ['layers']],
      ['18:36', 'as before'],
      ['18:46', 'as before'],
      ['18:55', ['layers', 'metadata']],
      ['19:07', 'as before'],
      ['27 July', []],
    ]);
  });

  it('orders no image twice at one moment: the bytes of a fetch that two pulls share are in both reports', () => {
    for (const step of script.flatMap(({ steps }) => steps)) {
      expect(new Set(step.map(({ image }) => image)).size).to.equal(step.length);
    }
  });

  it('puts ordinary orders on hosts that have nothing yet', () => {
    const hosts = new Set(script.flatMap(({ steps }) => steps.flat()).map(({ host }) => host));
    const ordinary = Array.from({ length: 30 }, (_, index) => ordinaryOrder(index));
    for (const { host } of ordinary) expect([...hosts]).to.not.include(host);
    expect(new Set(ordinary.map(({ host, image }) => `${host} ${image}`)).size).to.equal(30);
  });
});
