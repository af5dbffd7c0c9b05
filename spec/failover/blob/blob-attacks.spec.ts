import { expect } from 'chai';
import { getEventListeners } from 'node:events';
import { fetchBlob } from '../../../lib/failover/blob/fetch-blob.js';
import { type Fault, layers } from '../../../lib/testing/index.js';
import { failureOf } from '../../support/failure-of.js';
import { until } from '../../support/until.js';
import { blobRequests } from '../support/blob-fetch.js';
import { closeHeartRigs, type HeartRig, untilQuiet } from '../support/heart-rig.js';
import { memorySink } from '../support/memory-sink.js';
import { expectAllGivenBack, openRangeRig, rangeBytes, right, size, wanted } from '../support/range-fetch.js';

const hedge = { metadataMs: Infinity, layersMs: 150, budget: 1 };
const timeouts = {
  metadata: { requestMs: 2_000, totalMs: 2_000 },
  layers: { firstByteMs: 2_000, stallMs: 2_000, windowMs: 3_000 },
};

function open(registries: readonly (readonly Fault[])[], connections: number): Promise<HeartRig> {
  return openRangeRig(registries, { connections, hedge, timeouts });
}

describe('a registry that means harm', () => {
  afterEach(closeHeartRigs);

  for (const connections of [1, 4]) {
    for (const { name, faults } of [
      { name: 'sends a byte now and then', faults: [layers.drip({ bytesPerSecond: 8 })] },
      { name: 'does so from the middle on', faults: [layers.drip({ afterBytes: 5 * rangeBytes, bytesPerSecond: 8 })] },
      {
        name: 'answers in tiny ranges, each a little late',
        faults: [layers.shortRange({ maxBytes: 10 }), layers.delay({ ms: 100 })],
      },
      {
        name: 'says that each range is another one',
        faults: [layers.wrongRange({ byBytes: 3 })],
      },
      {
        name: 'says nothing of the total, and sends too little',
        faults: [layers.unknownTotal(), layers.truncate({ afterBytes: 9, of: 'response' })],
      },
      { name: 'asks for no time at all, for ever', faults: [layers.status(429, { retryAfter: 0 })] },
      { name: 'redirects to itself', faults: [layers.redirectLoop()] },
      { name: 'sends a blob that is longer', faults: [layers.wrongLength({ byBytes: 1_000 })] },
    ]) {
      it(`and ${name} costs little time and few requests, over ${connections} connections`, async () => {
        const rig = await open([faults, []], connections);
        const pull = rig.openPull();
        const sink = memorySink();
        const startedAt = performance.now();
        await fetchBlob(pull.context, wanted, sink);
        expect(performance.now() - startedAt).to.be.below(8_000);
        expect(sink.content.equals(right)).to.equal(true);
        expect(blobRequests(rig, 'A').length).to.be.below(120);
        expect(rig.double('B').bytesSent).to.be.at.most(size + 4 * rangeBytes);
        rig.end();
        await untilQuiet(rig.doubles);
        await until(() => rig.candidates.every((each) => pull.sources.connectionsTo(each) === 0), 'all are over');
        expectAllGivenBack(rig, pull);
      });
    }
  }

  it('and is overtaken, and brings just too little to be trusted again, is not let bring all of the blob for nothing', async () => {
    const rig = await open([[layers.delay({ ms: 400 }), layers.drip({ bytesPerSecond: 220_000 })], []], 1);
    const pull = rig.openPull();
    await fetchBlob(pull.context, wanted, memorySink());
    expect(rig.double('B').bytesSent).to.equal(size);
    await untilQuiet(rig.doubles);
    expect(rig.double('A').bytesSent).to.be.within(1, 0.7 * size);
    const [late] = rig.candidates;
    expect(late !== undefined && pull.sources.isSuspect(late, 'layers')).to.equal(true);
    expect(pull.attempts).to.deep.equal([]);
  });
});

describe('an abort of a blob in ranges', () => {
  afterEach(closeHeartRigs);

  for (const { name, registries, moment } of [
    {
      name: 'while it waits for a connection of the puller',
      registries: [[]],
      moment: () => true,
    },
    {
      name: 'in a hedge',
      registries: [[layers.stall({ afterBytes: 2 * rangeBytes })], [layers.noHeaders()]],
      moment: (rig: HeartRig) => rig.double('B').requests.length > 0,
    },
    {
      name: 'after a hedge has won',
      registries: [[layers.stall({ afterBytes: 2 * rangeBytes })], [layers.stall({ afterBytes: 4 * rangeBytes })]],
      moment: (rig: HeartRig) => rig.double('B').bytesSent >= rangeBytes,
    },
    {
      name: 'while it is looked for who sent wrong bytes',
      registries: [
        [layers.wrongBytes({ atByte: 3 }), layers.truncate({ afterBytes: 4 * rangeBytes })],
        [layers.delay({ ms: 400, after: 4 })],
      ],
      moment: (rig: HeartRig) => rig.double('B').requests.length > 6,
    },
  ] satisfies readonly {
    readonly name: string;
    readonly registries: readonly (readonly Fault[])[];
    readonly moment: (rig: HeartRig) => boolean;
  }[]) {
    it(`${name} rejects with its reason, and leaves nothing but what was overtaken`, async () => {
      const rig = await open(registries, 4);
      const pull = rig.openPull();
      const isQueued = name.includes('waits');
      const others = isQueued
        ? Array.from({ length: 16 }, () => rig.budget.tryConnection({ kind: 'other', pullId: 'other' }))
        : [];
      const failure = failureOf(fetchBlob(pull.context, wanted, memorySink()));
      await new Promise((resolve) => setImmediate(resolve));
      await until(() => moment(rig), 'the moment has come');
      const reason = new Error('no more');
      pull.abort(reason);
      expect(await failure).to.equal(reason);
      expect(getEventListeners(pull.context.signal, 'abort')).to.have.length(0);
      for (const other of others) other?.release();
      rig.end();
      await untilQuiet(rig.doubles);
      await until(() => rig.candidates.every((each) => pull.sources.connectionsTo(each) === 0), 'all are over');
      expectAllGivenBack(rig, pull);
      expect(pull.attempts.filter((attempt) => attempt.includes('stalled'))).to.deep.equal([]);
    });
  }
});
