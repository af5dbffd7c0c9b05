import { expect } from 'chai';
import { makeDrillImages } from '../../lib/drill/images.js';
import { databaseOrder, ordinaryOrder, recovery, script, scriptWith } from '../../lib/drill/script.js';

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

  it('has one more order where there is an engine, when the outage begins and no circuit has opened', () => {
    const extra = databaseOrder('database:3.0', 'docker-1');
    expect(orders.map(({ id }) => id)).to.not.include(extra.id);
    expect(scriptWith(null)).to.equal(script);
    const more = scriptWith(extra);
    expect(more.map(({ steps }) => steps.flat().length)).to.deep.equal(
      script.map(({ steps, clock }) => steps.flat().length + (clock === '18:20' ? 1 : 0)),
    );
    expect(more.find(({ clock }) => clock === '18:20')?.steps[0]?.at(-1)).to.equal(extra);
  });

  it('puts ordinary orders on hosts that have nothing yet', () => {
    const hosts = new Set(script.flatMap(({ steps }) => steps.flat()).map(({ host }) => host));
    const ordinary = Array.from({ length: 30 }, (_, index) => ordinaryOrder(index));
    for (const { host } of ordinary) expect([...hosts]).to.not.include(host);
    expect(new Set(ordinary.map(({ host, image }) => `${host} ${image}`)).size).to.equal(30);
  });
});
