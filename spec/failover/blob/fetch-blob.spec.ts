import { expect } from 'chai';
import { layers } from '../../../lib/testing/index.js';
import { blobRequests, bytesSent, fetchFrom, mid, offsets, size, starts } from '../support/blob-fetch.js';
import { closeHeartRigs } from '../support/heart-rig.js';

describe('fetchBlob', () => {
  afterEach(closeHeartRigs);

  it('takes a blob from the first registry, and asks nobody else', async () => {
    const { rig, pull } = await fetchFrom([[], []]);
    expect(rig.double('B').requests).to.deep.equal([]);
    expect(rig.double('B').connections).to.equal(0);
    expect(pull.attempts).to.deep.equal([]);
    expect(pull.sources.failovers).to.deep.equal([]);
    expect(pull.sources.served).to.deep.equal([
      {
        ...{ registry: rig.candidates[0]?.registry, objects: 1, bytes: size },
        ...{ wastedBytes: 0, connections: 1, hedges: { won: 0, lost: 0 } },
      },
    ]);
  });

  describe('goes on at the byte it had reached', () => {
    const cuts = [
      { name: 'stalls', fault: (afterBytes: number) => layers.stall({ afterBytes }), code: 'stalled' },
      // With bytes still on their way, Node sees a reset as an end.
      {
        name: 'is reset',
        fault: (afterBytes: number) => layers.reset({ afterBytes }),
        code: 'connection-(reset|closed)',
      },
      { name: 'is cut off', fault: (afterBytes: number) => layers.truncate({ afterBytes }), code: 'connection-closed' },
    ];
    for (const { name, fault, code } of cuts) {
      for (const { name: where, at } of offsets) {
        it(`when the first source ${name} at ${where}`, async () => {
          const { rig, pull } = await fetchFrom([[fault(at)], []]);
          const reason = at === 0 && code === 'stalled' ? 'first-byte-late' : code;
          expect(pull.attempts).to.have.length(1);
          expect(pull.attempts[0]).to.match(new RegExp(`^A registry-storage/${reason} ill$`));
          expect(pull.sources.attempts[0]?.bytes).to.equal(at);
          expect(pull.ill).to.deep.equal(['A layers']);
          expect(blobRequests(rig, 'B').map(({ range }) => range)).to.deep.equal([
            at === 0 ? null : { start: at, end: null },
          ]);
          const [toldOfFailover] = pull.of('failedOver');
          expect(toldOfFailover?.[0]).to.deep.include({
            phase: 'layers',
            from: rig.candidates[0]?.registry,
            to: rig.candidates[1]?.registry,
            bytesKept: at,
          });
          expect(toldOfFailover?.[0].reason).to.deep.equal(pull.sources.attempts[0]?.reason);
          expect(pull.of('failedOver')).to.have.length(1);
          expect(bytesSent(rig)).to.deep.equal([at, size - at]);
        });
      }
    }

    it('when the first source gets slower than the floor', async () => {
      const { rig, pull } = await fetchFrom([[layers.drip({ bytesPerSecond: 500, afterBytes: mid })], []]);
      expect(pull.attempts).to.deep.equal(['A registry-storage/too-slow ill']);
      const [failover] = pull.sources.failovers;
      expect(failover?.bytesKept).to.be.within(mid, mid + 2_000);
      expect(starts(rig, 'B')).to.deep.equal([failover?.bytesKept]);
    });
  });

  it('needs nobody else when a source stops after the last byte', async () => {
    for (const fault of [layers.stall, layers.reset, layers.truncate]) {
      const { rig, pull } = await fetchFrom([[fault({ afterBytes: size })], []]);
      expect(pull.attempts).to.deep.equal([]);
      expect(rig.double('B').requests).to.deep.equal([]);
    }
  });
});
