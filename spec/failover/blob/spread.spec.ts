import { expect } from 'chai';
import { fetchBlob } from '../../../lib/failover/blob/fetch-blob.js';
import { type Fault, layers, seededImage } from '../../../lib/testing/index.js';
import { blobRequests, bytesSent } from '../support/blob-fetch.js';
import { closeHeartRigs, type RigRegistry, untilQuiet } from '../support/heart-rig.js';
import { memorySink } from '../support/memory-sink.js';
import {
  allBytesSent,
  type FetchedRanges,
  fetchInRanges,
  kibibyte,
  openRangeRig,
  rangeBytes,
  type RangeOptions,
  size,
  windowBytes,
} from '../support/range-fetch.js';

const spread = { rangeBytes, windowBytes, spread: true };
const mebibyte = 1_024 * kibibyte;
/** So that no registry brings all before another one has answered. */
const link = { bandwidth: { perConnectionBytesPerSecond: 2_000_000, latencyMs: 5 } };

function fetch(
  registries: readonly (RigRegistry | readonly Fault[])[],
  options: RangeOptions = {},
): Promise<FetchedRanges> {
  const shaped = registries.map((registry) =>
    Array.isArray(registry)
      ? { ...link, faults: registry as readonly Fault[] }
      : { ...link, ...(registry as RigRegistry) },
  );
  return fetchInRanges(shaped, { connections: 1, transfer: spread, ...options });
}

describe('a spread pull', () => {
  afterEach(closeHeartRigs);

  it('draws one blob from all of its registries, each byte once', async () => {
    for (const count of [2, 3]) {
      const { rig, pull } = await fetch(Array.from({ length: count }, () => []));
      for (const sent of bytesSent(rig)) expect(sent).to.be.above(size / (2 * count));
      expect(allBytesSent(rig)).to.equal(size);
      expect(pull.attempts).to.deep.equal([]);
      expect(pull.sources.failovers).to.deep.equal([]);
      expect(pull.sources.served.reduce((sum, { bytes }) => sum + bytes, 0)).to.equal(size);
      await closeHeartRigs();
    }
  });

  it('draws small blobs from all of them, each from one', async () => {
    const image = seededImage({ layers: 6, bytes: 100_000, seed: 'small ones' });
    const rig = await openRangeRig(
      [
        { ...link, faults: [] },
        { ...link, faults: [] },
      ],
      { image, connections: 1, transfer: spread },
    );
    const pull = rig.openPull();
    await Promise.all(
      image.layers.map(({ digest, sizeBytes }) => fetchBlob(pull.context, { digest, size: sizeBytes }, memorySink())),
    );
    await untilQuiet(rig.doubles);
    expect(['A', 'B'].map((name) => blobRequests(rig, name as 'A' | 'B').length)).to.deep.equal([3, 3]);
  });

  it('asks nobody else where the option is off', async () => {
    const { rig } = await fetch([[], []], { transfer: { rangeBytes, windowBytes }, connections: 4 });
    expect(rig.double('B').connections).to.equal(0);
  });

  it('takes over several connections to each, no more than a blob may have', async () => {
    const { rig } = await fetch([[], []], { connections: 4, transfer: { ...spread, connectionsPerBlob: 4 } });
    expect(Math.max(...rig.doubles.map(({ connections }) => connections))).to.be.at.most(4);
    expect(rig.doubles.reduce((sum, { connections }) => sum + connections, 0)).to.be.within(4, 6);
  });

  for (const [index, name] of (['A', 'B'] as const).entries()) {
    const others = (faults: readonly Fault[]): readonly (readonly Fault[])[] =>
      index === 0 ? [faults, []] : [[], faults];

    for (const { what, fault } of [
      { what: 'fails', fault: layers.status(500) },
      { what: 'stalls', fault: layers.stall({ afterBytes: 5 * rangeBytes + 7 }) },
      { what: 'is reset', fault: layers.reset({ afterBytes: 5 * rangeBytes + 7 }) },
      { what: 'is cut off', fault: layers.truncate({ afterBytes: 100 }) },
      { what: 'says another range', fault: layers.wrongRange({ byBytes: 1 }) },
    ]) {
      it(`goes on without ${name} where that ${what}`, async () => {
        const { rig, pull } = await fetch(others([fault]));
        // A reset of a range that begins at byte 0 is none.
        expect(pull.ill.every((each) => each === `${name} layers`)).to.equal(true);
        expect(allBytesSent(rig) - size).to.be.at.most(3 * rangeBytes);
      });
    }

    it(`goes on without ${name} where that lacks the blob`, async () => {
      const { rig, pull } = await fetch(others([layers.missing()]));
      expect(pull.attempts).to.deep.equal([`${name} not-replicated/http-404 next`]);
      expect(pull.ill).to.deep.equal([]);
      expect(blobRequests(rig, name)).to.have.length(1);
    });

    it(`leaves ${name} alone where that asks for it`, async () => {
      const { rig, pull } = await fetch(others([layers.status(429, { retryAfter: 9 })]));
      expect(pull.attempts).to.deep.equal([`${name} rate-limit/http-429 limited`].slice(0, pull.attempts.length));
      expect(blobRequests(rig, name)).to.have.length(1);
    });

    for (const at of [0, rangeBytes + 1, 6 * rangeBytes, size - 1]) {
      it(`names ${name} where that sends a wrong byte at ${at} and its bytes were used`, async () => {
        const { pull, sink } = await fetch(others([layers.wrongBytes({ atByte: at })]));
        const wasUsed = sink.calls.some(({ call }) => call === 'restart');
        expect(pull.attempts).to.deep.equal(wasUsed ? [`${name} content/digest-mismatch ill`] : []);
        expect(pull.ill).to.deep.equal(wasUsed ? [`${name} layers`] : []);
      });
    }

    it(`hardly waits for ${name} where that is slow beside the other one`, async () => {
      const image = seededImage({ bytes: 4 * mebibyte, seed: 'slow one' });
      const [layer] = image.layers;
      if (layer === undefined) throw new Error('there is a layer');
      const registries: RigRegistry[] = [0, 1].map(() => ({ bandwidth: { perConnectionBytesPerSecond: 4_000_000 } }));
      registries[index] = { bandwidth: { totalBytesPerSecond: 100_000 } };
      const rig = await openRangeRig(registries, {
        image,
        connections: 1,
        transfer: { rangeBytes: mebibyte / 4, windowBytes: 2 * mebibyte, spread: true },
        hedge: { metadataMs: Infinity, layersMs: 150, budget: 1 },
        timeouts: { layers: { windowMs: 15_000 } },
      });
      const pull = rig.openPull();
      const startedAt = performance.now();
      await fetchBlob(pull.context, { digest: layer.digest, size: layer.sizeBytes }, memorySink());
      // A range of it takes more than two and a half seconds, all others one.
      expect(performance.now() - startedAt).to.be.below(2_400);
      expect(pull.attempts).to.deep.equal([]);
    });
  }

  it('puts together what two liars and one honest registry bring, and blames the liars alone', async () => {
    const { pull } = await fetch([[layers.wrongBytes({ atByte: 10 })], [layers.wrongBytes({ atByte: size - 10 })], []]);
    expect(pull.ill).to.not.include('C layers');
  });
});
