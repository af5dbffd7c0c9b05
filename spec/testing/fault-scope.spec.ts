import { expect } from 'chai';
import { createFaultScript, type StruckRequest } from '../../lib/testing/fault-script.js';
import { connection, type Fault, layers, metadata } from '../../lib/testing/index.js';
import { type FakeTime, startFakeTime } from '../support/fake-time.js';

const request: StruckRequest = {
  group: 'layers',
  place: 'registry',
  bytesFrom: 'registry',
  repository: 'aptible/redis',
  object: 'sha256:aa',
  method: 'GET',
};

function strikes(fault: Fault, requests: readonly Partial<StruckRequest>[]): readonly boolean[] {
  const script = createFaultScript([fault]);
  return requests.map((changes) => script.strike({ ...request, ...changes }).length === 1);
}

describe('the scope of a fault', () => {
  it('is every request of its group unless it says otherwise', () => {
    const requests = [
      {},
      { object: 'sha256:bb' },
      { method: 'HEAD' },
      { group: 'metadata' },
      { group: 'ping' },
    ] as const;
    expect(strikes(layers.stall(), requests)).to.deep.equal([true, true, true, false, false]);
  });

  it('can be one repository, object or method', () => {
    const requests = [{}, { repository: 'other' }, { object: 'sha256:bb' }, { method: 'HEAD' }];
    expect(strikes(layers.stall({ repository: 'aptible/redis' }), requests)).to.deep.equal([true, false, true, true]);
    expect(strikes(layers.stall({ object: 'sha256:aa' }), requests)).to.deep.equal([true, true, false, true]);
    expect(strikes(layers.stall({ method: 'HEAD' }), requests)).to.deep.equal([false, false, false, true]);
  });

  it('counts only what matches, when it spares the first and strikes some', () => {
    const fault = layers.stall({ object: 'sha256:aa', after: 1, times: 2 });
    const requests = [{}, { object: 'sha256:bb' }, {}, { group: 'metadata' as const }, {}, {}];
    expect(strikes(fault, requests)).to.deep.equal([false, false, true, false, true, false]);
  });

  it('is where the bytes come from, unless it names the registry or the storage', () => {
    const places = [
      { place: 'registry', bytesFrom: 'registry' },
      { place: 'registry', bytesFrom: 'storage' },
      { place: 'storage', bytesFrom: 'storage' },
    ] as const;
    expect(strikes(layers.stall(), places)).to.deep.equal([true, false, true]);
    expect(strikes(layers.stall({ at: 'registry' }), places)).to.deep.equal([true, true, false]);
    expect(strikes(layers.stall({ at: 'storage' }), places)).to.deep.equal([false, false, true]);
    expect(strikes(layers.expiredRedirect(), places)).to.deep.equal([true, true, false]);
  });

  it('strikes with a probability that follows from the seed and the object, not from the order', () => {
    const objects = Array.from({ length: 400 }, (_, index) => ({ object: `sha256:${index}` }));
    const fault = layers.stall({ probability: 0.3, seed: 5 });
    const struck = strikes(fault, objects);
    expect(struck.filter(Boolean).length).to.be.within(80, 160);
    expect(strikes(fault, objects.toReversed()).toReversed()).to.deep.equal(struck);
    expect(strikes(layers.stall({ probability: 0.3, seed: 6 }), objects)).not.to.deep.equal(struck);
    expect(strikes(layers.stall({ probability: 1 }), objects)).not.to.include(false);
    expect(strikes(layers.stall({ probability: 0 }), objects)).not.to.include(true);
  });

  it('draws anew each time the same object is asked for', () => {
    const same = Array.from({ length: 100 }, () => ({}));
    expect(new Set(strikes(layers.stall({ probability: 0.5 }), same)).size).to.equal(2);
  });

  it('lets several faults strike one request, in their order', () => {
    const script = createFaultScript([layers.delay({ ms: 1 }), metadata.html(), layers.stall({ times: 1 })]);
    expect(script.strike(request).map(({ kind }) => kind)).to.deep.equal(['delay', 'stall']);
    expect(script.strike(request).map(({ kind }) => kind)).to.deep.equal(['delay']);
  });

  it('strikes connections of the place it names', () => {
    const script = createFaultScript([connection.reset({ times: 1 }), connection.blackhole({ at: 'storage' })]);
    expect([script.strikeConnection('registry'), script.strikeConnection('registry')]).to.deep.equal([
      'reset',
      'served',
    ]);
    expect(script.strikeConnection('storage')).to.equal('blackholed');
    expect([script.refuses('registry'), script.refusalChangesInMs()]).to.deep.equal([false, null]);
  });

  describe('in time', () => {
    let time: FakeTime;
    beforeEach(() => {
      time = startFakeTime();
    });
    afterEach(() => {
      time.restore();
    });

    it('begins and ends so long after the faults were set', async () => {
      const script = createFaultScript([layers.stall({ between: [100, 200] })]);
      const struck = (): number => script.strike(request).length;
      expect(struck()).to.equal(0);
      await time.passMs(99);
      expect(struck()).to.equal(0);
      await time.passMs(1);
      expect(struck()).to.equal(1);
      await time.passMs(99);
      expect(struck()).to.equal(1);
      await time.passMs(1);
      expect(struck()).to.equal(0);
    });

    it('does not count what came at another time', async () => {
      const script = createFaultScript([layers.stall({ between: [100, 200], times: 1 })]);
      script.strike(request);
      await time.passMs(100);
      expect([script.strike(request).length, script.strike(request).length]).to.deep.equal([1, 0]);
    });

    it('says when a port that refuses will open', async () => {
      const script = createFaultScript([connection.refuse({ between: [100, 200] })]);
      expect([script.refuses('registry'), script.refusalChangesInMs()]).to.deep.equal([false, 100]);
      await time.passMs(100);
      expect([script.refuses('registry'), script.refusalChangesInMs()]).to.deep.equal([true, 100]);
      expect(script.refuses('storage')).to.equal(false);
      await time.passMs(100);
      expect([script.refuses('registry'), script.refusalChangesInMs()]).to.deep.equal([false, null]);
    });
  });
});
