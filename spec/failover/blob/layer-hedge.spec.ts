import { expect } from 'chai';
import { fetchBlob } from '../../../lib/failover/blob/fetch-blob.js';
import { HedgeBytes } from '../../../lib/failover/hedge-bytes.js';
import { SharedFetches } from '../../../lib/failover/shared/shared-fetch.js';
import { connection, type Fault, layers, seededImage } from '../../../lib/testing/index.js';
import { failureOf } from '../../support/failure-of.js';
import { until } from '../../support/until.js';
import { blobRequests, starts } from '../support/blob-fetch.js';
import { closeHeartRigs, type HeartPull, type HeartRig, type RigRegistry, untilQuiet } from '../support/heart-rig.js';
import { memorySink } from '../support/memory-sink.js';
import { memoryStore } from '../support/memory-store.js';
import {
  allBytesSent,
  expectAllGivenBack,
  kibibyte,
  openRangeRig,
  rangeBytes,
  type RangeOptions,
  right,
  size,
  wanted,
} from '../support/range-fetch.js';

const delayMs = 200;
/** Whoever waits for one of these has not been helped by a hedge. */
const limitMs = 2_500;
/** A hedge, and a machine that is busy; far below the limits. */
const promptMs = 1_500;

const hedge = { metadataMs: Infinity, layersMs: delayMs, budget: 1 };
const timeouts = {
  metadata: { requestMs: limitMs, totalMs: limitMs },
  layers: { firstByteMs: limitMs, stallMs: limitMs, windowMs: 15_000 },
  lastCandidate: { firstByteMs: 2 * limitMs, stallMs: 2 * limitMs },
};
/** One connection, that asks for all the rest; a hedge asks for a range. */
const single = { rangeBytes, connectionsPerBlob: 1 };

type Registries = readonly (RigRegistry | readonly Fault[])[];

function open(registries: Registries, options: RangeOptions = {}): Promise<HeartRig> {
  return openRangeRig(registries, { hedge, timeouts, transfer: single, connections: 1, ...options });
}

/** Fetches the blob in this pull, and holds it to its bytes. Resolves with how long it took, in milliseconds. */
async function fetchIn(pull: HeartPull): Promise<number> {
  const startedAt = performance.now();
  const sink = memorySink();
  await fetchBlob(pull.context, wanted, sink);
  expect(sink.content.equals(right), 'the bytes are right').to.equal(true);
  return performance.now() - startedAt;
}

const middle = 5 * rangeBytes + 100;

describe('a hedge of a blob', () => {
  afterEach(closeHeartRigs);

  for (const { name, fault, at, code } of [
    { name: 'without headers', fault: layers.noHeaders(), at: 0, code: 'first-byte-late' },
    { name: 'without a connection', fault: connection.blackhole(), at: 0, code: 'first-byte-late' },
    { name: 'without a first byte', fault: layers.stall(), at: 0, code: 'first-byte-late' },
    { name: 'that stalls after byte 1', fault: layers.stall({ afterBytes: 1 }), at: 1, code: 'stalled' },
    { name: 'that stalls in the middle', fault: layers.stall({ afterBytes: middle }), at: middle, code: 'stalled' },
    {
      name: 'that stalls before the last byte',
      fault: layers.stall({ afterBytes: size - 1 }),
      at: size - 1,
      code: 'stalled',
    },
  ]) {
    it(`asks the next registry for at most a range of one ${name}, and moves the work there`, async () => {
      const rig = await open([[fault], []]);
      const pull = rig.openPull();
      expect(await fetchIn(pull)).to.be.within(delayMs - 10, promptMs);
      const [first, ...others] = blobRequests(rig, 'B').map(({ range }) => range);
      expect(first?.start ?? 0).to.equal(at);
      expect(first?.end ?? size - 1).to.equal(Math.min(size, at + rangeBytes) - 1);
      expect(others.map((range) => range?.start)).to.deep.equal(at + rangeBytes < size ? [at + rangeBytes] : []);
      expect(rig.double('B').bytesSent).to.equal(size - at);
      const told = pull.of('failedOver').map(([failover]) => failover);
      expect(told).to.have.length(1);
      expect(told[0]).to.deep.include({
        phase: 'layers',
        from: rig.candidates[0]?.registry,
        to: rig.candidates[1]?.registry,
        bytesKept: at,
      });
      expect(told[0]?.reason.code).to.equal(code);
      expect(told[0]?.reason.cause).to.equal('registry-storage');
      // Late is not ill.
      expect(pull.attempts).to.deep.equal([]);
      expect(pull.ill).to.deep.equal([]);
    });
  }

  it('goes out when bytes drip at less than a tenth of what they did before', async () => {
    const rig = await open([[layers.drip({ afterBytes: 10 * rangeBytes, bytesPerSecond: 20_000 })], []]);
    const pull = rig.openPull();
    expect(await fetchIn(pull)).to.be.below(promptMs);
    expect(pull.of('failedOver').map(([{ reason }]) => reason.code)).to.deep.equal(['stalled']);
    expect(pull.attempts).to.deep.equal([]);
  });

  describe('that has won', () => {
    it('makes the late one a suspect, which gets no new request in the same pull', async () => {
      const rig = await open([[layers.stall({ afterBytes: middle })], []]);
      const pull = rig.openPull();
      for (let times = 0; times < 4; times += 1) await fetchIn(pull);
      expect(blobRequests(rig, 'A')).to.have.length(1);
      expect(pull.of('failedOver')).to.have.length(1);
      // Another pull knows nothing of it.
      await fetchIn(rig.openPull());
      expect(blobRequests(rig, 'A')).to.have.length(2);
    });

    it('makes all other blobs of the pull leave the late one, and leaves one of its requests open', async () => {
      const image = seededImage({ layers: 4, bytes: 300_000, seed: 'at once' });
      const rig = await open([[layers.stall({ afterBytes: 100_000 })], []], { image });
      const pull = rig.openPull();
      const startedAt = performance.now();
      await Promise.all(
        image.layers.map(({ digest, sizeBytes }) => fetchBlob(pull.context, { digest, size: sizeBytes }, memorySink())),
      );
      expect(performance.now() - startedAt).to.be.below(promptMs);
      await until(
        () => blobRequests(rig, 'A').filter(({ outcome }) => outcome === 'open').length <= 1,
        'all but one request are ended',
      );
      expect(blobRequests(rig, 'A').filter(({ outcome }) => outcome === 'open')).to.have.length(1);
      expect(blobRequests(rig, 'A')).to.have.length(4);
      expect(pull.attempts).to.deep.equal([]);
      expect(pull.of('failedOver')).to.have.length(1);
    });

    it('finds the late one ill only when its limit expires, after the pull too', async () => {
      const rig = await open([[layers.stall({ afterBytes: middle })], []]);
      const pull = rig.openPull();
      await fetchIn(pull);
      expectAllGivenBackButOne(rig, pull);
      expect(pull.ill).to.deep.equal([]);
      await until(() => pull.ill.length > 0, 'the limit has expired');
      expect(pull.attempts).to.deep.equal(['A registry-storage/stalled ill']);
      expect(pull.sources.attempts[0]?.reason.message).to.include(`${limitMs}`);
      await untilQuiet(rig.doubles);
      expectAllGivenBack(rig, pull);
    });

    it('is told of once, and gives its connection to others, where the late one was a range ahead', async () => {
      const rig = await open([[layers.stall({ afterBytes: 2 * rangeBytes + 5 })], []], {
        connections: 4,
        transfer: { rangeBytes },
      });
      const pull = rig.openPull();
      expect(await fetchIn(pull)).to.be.below(promptMs);
      const permits = Array.from({ length: pull.context.transfer.settings.maxConnections }, () =>
        rig.budget.tryConnection({ kind: '', pullId: 'another' }),
      );
      expect(permits.every((permit) => permit !== null)).to.equal(true);
      for (const permit of permits) permit?.release();
      await until(() => pull.ill.length > 0, 'the limit has expired');
      await untilQuiet(rig.doubles);
      expect(pull.attempts).to.deep.equal(['A registry-storage/stalled ill']);
      expectAllGivenBack(rig, pull);
    });

    it('trusts the late one again when it delivers after all', async () => {
      const rig = await open([[layers.delay({ ms: 4 * delayMs, times: 1 })], []]);
      const pull = rig.openPull();
      const [late] = rig.candidates;
      if (late === undefined) throw new Error('there is a first');
      await fetchIn(pull);
      expect(pull.sources.isSuspect(late, 'layers')).to.equal(true);
      await until(() => !pull.sources.isSuspect(late, 'layers'), 'it is trusted again');
      await untilQuiet(rig.doubles);
      await fetchIn(pull);
      expect(blobRequests(rig, 'B')).to.have.length(2);
      expect(pull.attempts).to.deep.equal([]);
    });

    it('leaves an open request that is ended when everything is, and is nobody’s fault', async () => {
      const rig = await open([[layers.noHeaders()], []]);
      const pull = rig.openPull();
      await fetchIn(pull);
      pull.abort(new Error('the pull is over'));
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(blobRequests(rig, 'A').map(({ outcome }) => outcome)).to.deep.equal(['open']);
      rig.end();
      await untilQuiet(rig.doubles);
      expect(pull.attempts).to.deep.equal([]);
      expectAllGivenBack(rig, pull);
    });

    it('lets the late one be asked again when nobody else is left', async () => {
      const rig = await open([
        [layers.delay({ ms: 4 * delayMs, times: 1 })],
        [layers.truncate({ afterBytes: middle, times: 2 }), layers.status(500, { after: 2 })],
      ]);
      const pull = rig.openPull();
      await fetchIn(pull);
      expect(pull.ill).to.deep.equal(['B layers']);
      expect(starts(rig, 'A').at(-1)).to.be.above(0);
    });

    it('trusts the late one again when it delivers in a turn of its own', async () => {
      const image = seededImage({ bytes: 1_000_000, seed: 'in its own turn' });
      const [layer] = image.layers;
      if (layer === undefined) throw new Error('there is a layer');
      const rig = await open(
        [
          [layers.noHeaders({ times: 1 })],
          [layers.truncate({ afterBytes: 100_000, times: 2 }), layers.status(500, { after: 2 })],
        ],
        { image },
      );
      const pull = rig.openPull();
      const [first] = rig.candidates;
      if (first === undefined) throw new Error('there is a first one');
      const suspected: boolean[] = [];
      const stop = pull.sources.onSuspicion(() => suspected.push(pull.sources.isSuspect(first, 'layers')));
      await fetchBlob(pull.context, { digest: layer.digest, size: layer.sizeBytes }, memorySink());
      stop();
      expect(suspected).to.include(true);
      expect(pull.sources.isSuspect(first, 'layers')).to.equal(false);
    });

    it('does not go round between the late one and one that asks for time', async () => {
      const rig = await open([
        [layers.delay({ ms: 4 * delayMs, times: 2 })],
        [layers.status(429, { retryAfter: 0, after: 1, times: 3 })],
      ]);
      const pull = rig.openPull();
      expect(await fetchIn(pull)).to.be.below(2 * promptMs);
      expect(blobRequests(rig, 'B').length).to.be.below(8);
      expect(blobRequests(rig, 'A').length).to.be.below(8);
    });
  });

  describe('that loses', () => {
    it('is ended, and nothing is said of a failover', async () => {
      const rig = await open([[layers.delay({ ms: 2 * delayMs })], [layers.delay({ ms: limitMs })]]);
      const pull = rig.openPull();
      await fetchIn(pull);
      await untilQuiet(rig.doubles);
      expect(blobRequests(rig, 'A')).to.have.length(1);
      expect(blobRequests(rig, 'B').map(({ outcome }) => outcome)).to.deep.equal(['cut-by-client']);
      expect(pull.of('failedOver')).to.deep.equal([]);
      expect(pull.attempts).to.deep.equal([]);
      expect(rig.candidates.map((each) => pull.sources.isSuspect(each, 'layers'))).to.deep.equal([false, false]);
      expectAllGivenBack(rig, pull);
    });

    for (const { name, fault } of [
      { name: 'fails', fault: layers.status(500) },
      { name: 'hangs up', fault: layers.hangUp() },
      { name: 'ignores ranges', fault: layers.ignoreRange() },
      { name: 'lacks the blob', fault: layers.missing() },
      { name: 'asks for time', fault: layers.status(429, { retryAfter: 0 }) },
    ]) {
      it(`since its registry ${name} is not sent there again, however long the first one is late`, async () => {
        const rig = await open(
          [[layers.drip({ afterBytes: middle, bytesPerSecond: 1 }), layers.stall({ afterBytes: middle + 2 })], [fault]],
          {
            timeouts: { ...timeouts, layers: { ...timeouts.layers, stallMs: 8 * delayMs } },
          },
        );
        const pull = rig.openPull();
        // One that only ignores ranges serves when its turn comes.
        const ended = Promise.allSettled([fetchBlob(pull.context, wanted, memorySink())]);
        await until(() => pull.attempts.some((attempt) => attempt.startsWith('A')), 'the first one has failed');
        pull.abort(new Error('enough'));
        await ended;
        expect(blobRequests(rig, 'B').length).to.be.within(1, name === 'asks for time' ? 10 : 3);
      });
    }
  });

  describe('is none', () => {
    const late = [layers.delay({ ms: 4 * delayMs })];

    for (const { name, settings } of [
      { name: 'with a delay of Infinity', settings: { ...hedge, layersMs: Infinity } },
      { name: 'with a delay above the limit', settings: { ...hedge, layersMs: 2 * limitMs } },
      { name: 'without a budget', settings: { ...hedge, budget: 0 } },
    ]) {
      it(`${name}: the one that is asked gets all of its limit`, async () => {
        const rig = await open([late, []], { hedge: settings });
        const pull = rig.openPull();
        await fetchIn(pull);
        expect(rig.double('B').connections).to.equal(0);
        expect(pull.of('failedOver')).to.deep.equal([]);
      });
    }

    it('when the pull has spent what it may fetch twice', async () => {
      const rig = await open([late, []]);
      const pull = rig.openPull();
      const hedgeBytes = new HedgeBytes(0.1);
      while (hedgeBytes.take(64 * kibibyte) > 0);
      const { context } = pull;
      await fetchBlob({ ...context, transfer: { ...context.transfer, hedgeBytes } }, wanted, memorySink());
      expect(rig.double('B').requests).to.deep.equal([]);
    });

    for (const { name, fault } of [
      { name: 'failed in this pull', fault: layers.status(500, { times: 1 }) },
      { name: 'asked to be left alone', fault: layers.status(429, { retryAfter: 9, times: 1 }) },
      { name: 'does not have the blob', fault: layers.missing({ times: 1 }) },
    ]) {
      it(`with a registry that ${name}`, async () => {
        // A resets once, so that B is asked in its turn; then A is late.
        const rig = await open([
          [layers.reset({ afterBytes: middle, times: 1 }), layers.delay({ ms: 4 * delayMs, after: 1 })],
          [fault],
        ]);
        const pull = rig.openPull();
        const sink = memorySink();
        await fetchBlob(pull.context, wanted, sink);
        expect(sink.content.equals(right)).to.equal(true);
        expect(blobRequests(rig, 'B')).to.have.length(1);
      });
    }

    it('with a registry that is a suspect itself', async () => {
      const rig = await open([late, []]);
      const pull = rig.openPull();
      const [, second] = rig.candidates;
      if (second === undefined) throw new Error('there is a second');
      pull.sources.suspect(second, 'layers');
      await fetchIn(pull);
      expect(rig.double('B').requests).to.deep.equal([]);
    });

    it('while it is looked for who sent wrong bytes', async () => {
      const rig = await open([
        [layers.truncate({ afterBytes: middle }), layers.wrongBytes({ atByte: 0 })],
        [],
        [layers.delay({ ms: 4 * delayMs })],
      ]);
      const pull = rig.openPull();
      await fetchIn(pull);
      expect(blobRequests(rig, 'B')).to.have.length(1);
      expect(rig.double('C').bytesSent).to.equal(size);
      expect(pull.attempts.at(-1)).to.equal('A content/digest-mismatch ill');
    });
  });

  it('goes on to a third registry when the second is late as well', async () => {
    const rig = await open([[layers.noHeaders()], [layers.noHeaders()], []]);
    const pull = rig.openPull();
    expect(await fetchIn(pull)).to.be.below(promptMs);
    expect(rig.double('C').bytesSent).to.equal(size);
    expect(pull.attempts).to.deep.equal([]);
    expect(pull.of('failedOver')).to.have.length(1);
    await until(() => pull.ill.length === 2, 'both limits have expired');
    await untilQuiet(rig.doubles);
    expectAllGivenBack(rig, pull);
  });

  it('lets all that are late at once go on, and takes whoever is first', async () => {
    const rig = await open([
      [layers.delay({ ms: 5 * delayMs })],
      [layers.delay({ ms: 5 * delayMs })],
      [layers.delay({ ms: 5 * delayMs })],
    ]);
    const pull = rig.openPull();
    await fetchIn(pull);
    expect(pull.attempts).to.deep.equal([]);
    expect(rig.doubles.reduce((sum, { requests }) => sum + requests.length, 0)).to.be.below(8);
  });

  it('is ended with the rest when the caller aborts', async () => {
    const rig = await open([[layers.noHeaders()], [layers.noHeaders()]]);
    const pull = rig.openPull();
    const failure = failureOf(fetchBlob(pull.context, wanted, memorySink()));
    await until(() => rig.double('B').requests.length === 1, 'the hedge is under way');
    const reason = new Error('no more');
    pull.abort(reason);
    expect(await failure).to.equal(reason);
    await untilQuiet(rig.doubles);
    expect(pull.attempts).to.deep.equal([]);
    expectAllGivenBack(rig, pull);
  });

  it('goes on for the second of two pulls when the first one leaves it', async () => {
    const rig = await open([[layers.stall({ afterBytes: middle })], [layers.delay({ ms: 2 * delayMs })]]);
    const shared = new SharedFetches();
    const blob = { ...wanted, mediaType: 'application/octet-stream' };
    const [one, other] = [rig.openPull(), rig.openPull()];
    const stores = [memoryStore(), memoryStore()] as const;
    const first = failureOf(shared.fetch(one.context, { blob, key: 'key', store: stores[0] }));
    const second = shared.fetch(other.context, { blob, key: 'key', store: stores[1] });
    await until(() => rig.double('B').requests.length === 1, 'the hedge is under way');
    const reason = new Error('the first one has had enough');
    one.abort(reason);
    expect(await first).to.equal(reason);
    await second;
    expect(stores[1].blobs.get(wanted.digest)?.equals(right)).to.equal(true);
    expect(allBytesSent(rig)).to.equal(size);
    expect(other.of('failedOver')).to.have.length(1);
  });
});

describe('a healthy pull sends no hedge', () => {
  afterEach(closeHeartRigs);

  async function expectNoHedge(rig: HeartRig, pull: HeartPull): Promise<void> {
    await untilQuiet(rig.doubles);
    expect(rig.double('B').requests).to.deep.equal([]);
    expect(rig.double('B').connections).to.equal(0);
    expect(pull.attempts).to.deep.equal([]);
    expect(pull.of('failedOver')).to.deep.equal([]);
  }

  for (const connections of [1, 4]) {
    it(`while its sink is slow, over ${connections} connections`, async () => {
      const rig = await open([[], []], { transfer: { rangeBytes }, connections });
      const pull = rig.openPull();
      let writes = 0;
      const onWrite = (): Promise<void> | undefined => {
        writes += 1;
        return writes % 6 === 1 ? new Promise((resolve) => setTimeout(resolve, 2 * delayMs)) : undefined;
      };
      await fetchBlob(pull.context, wanted, memorySink({ onWrite }));
      await expectNoHedge(rig, pull);
    });

    it(`while this process does something else, over ${connections} connections`, async () => {
      const rig = await open([{ bandwidth: { totalBytesPerSecond: 1_500_000 } }, []], {
        transfer: { rangeBytes },
        connections,
      });
      const pull = rig.openPull();
      let blocks = 0;
      const onWrite = (offset: number): void => {
        if (offset < size / 3 || blocks === 2) return;
        blocks += 1;
        const untilMs = performance.now() + 1_000;
        while (performance.now() < untilMs);
      };
      await fetchBlob(pull.context, wanted, memorySink({ onWrite }));
      await expectNoHedge(rig, pull);
    });
  }

  it('while it waits for its own connections', async () => {
    const image = seededImage({ layers: 3, bytes: 300_000, seed: 'queue' });
    for (const options of [
      { transfer: { rangeBytes, maxConnections: 1, connectionsPerBlob: 1 } },
      { transfer: single },
    ] as const) {
      const rig = await open([{ bandwidth: { totalBytesPerSecond: 600_000 }, options: { maxConnections: 1 } }, []], {
        image,
        ...options,
      });
      const pull = rig.openPull();
      await Promise.all(
        image.layers.map(({ digest, sizeBytes }) => fetchBlob(pull.context, { digest, size: sizeBytes }, memorySink())),
      );
      await expectNoHedge(rig, pull);
      await closeHeartRigs();
    }
  });

  it('after its sink was slow while the link was not', async () => {
    // What has gathered in buffers meanwhile comes in no time, which says nothing of the link.
    const image = seededImage({ bytes: 4_000_000, seed: 'burst' });
    const [layer] = image.layers;
    if (layer === undefined) throw new Error('there is a layer');
    const rig = await open([{ bandwidth: { totalBytesPerSecond: 1_500_000 } }, []], { image });
    const pull = rig.openPull();
    const onWrite = (offset: number): Promise<void> | undefined =>
      offset === 0 ? new Promise((resolve) => setTimeout(resolve, 1_500)) : undefined;
    await fetchBlob(pull.context, { digest: layer.digest, size: layer.sizeBytes }, memorySink({ onWrite }));
    await expectNoHedge(rig, pull);
  });

  it('when many blobs share a link that one had for itself before', async () => {
    const image = seededImage({ bytes: [1_000_000, ...Array.from({ length: 16 }, () => 120_000)], seed: 'many' });
    const rig = await open([{ bandwidth: { totalBytesPerSecond: 1_500_000 } }, []], {
      image,
      transfer: { rangeBytes, connectionsPerBlob: 1, maxConnections: 32 },
    });
    const pull = rig.openPull();
    const fetch = ({ digest, sizeBytes }: (typeof image.layers)[number]): Promise<void> =>
      fetchBlob(pull.context, { digest, size: sizeBytes }, memorySink());
    const [first, ...others] = image.layers;
    await fetch(first ?? image.config);
    await Promise.all(others.map(fetch));
    await expectNoHedge(rig, pull);
  });
});

/** The one is the request of the late one. */
function expectAllGivenBackButOne(rig: HeartRig, { sources }: HeartPull): void {
  expect(rig.candidates.map((candidate) => sources.connectionsTo(candidate))).to.deep.equal([1, 0]);
}
